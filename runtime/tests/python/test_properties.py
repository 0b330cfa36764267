# SPDX-License-Identifier: Apache-2.0
"""Random use against models: device memory against bytearrays, graphs against their definition."""

import struct

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

import pto_runtime
import pytest
from conftest import ADD, TRACE, open_runner
from pto_runtime import Graph

SIZES = st.one_of(st.integers(1, 300), st.sampled_from([4096, 65536]))


class DeviceMemory(RuleBasedStateMachine):
    """Blocks on the device hold what bytearrays of the same size hold."""

    blocks = Bundle("blocks")
    freed = Bundle("freed")

    def __init__(self):
        super().__init__()
        self.runner = open_runner(2, backend="sim")
        self.model = {}

    def teardown(self):
        left = len(self.model)
        self.runner.finalize()
        assert self.runner.last_freed_blocks == left

    def live(self, pointer):
        """A freed pointer may have been handed out again."""
        return pointer in self.model

    @rule(target=blocks, size=SIZES)
    def allocate(self, size):
        pointer = self.runner.allocate_tensor(size)
        assert pointer % 64 == 0 and pointer not in self.model
        for other, data in self.model.items():
            assert pointer + size <= other or other + len(data) <= pointer
        self.model[pointer] = bytearray(size)
        self.runner.copy_to_device(pointer, bytes(size))
        return pointer

    @rule(target=freed, pointer=consumes(blocks))
    def free(self, pointer):
        if not self.live(pointer):
            return multiple()
        self.runner.free_tensor(pointer)
        del self.model[pointer]
        return pointer

    @rule(pointer=blocks, data=st.data())
    def write(self, pointer, data):
        if not self.live(pointer):
            return
        size = len(self.model[pointer])
        offset = data.draw(st.integers(0, size))
        content = data.draw(st.binary(max_size=min(64, size - offset)))
        self.runner.copy_to_device(pointer + offset, content)
        self.model[pointer][offset:offset + len(content)] = content

    @rule(pointer=blocks, data=st.data())
    def read(self, pointer, data):
        if not self.live(pointer):
            return
        size = len(self.model[pointer])
        offset = data.draw(st.integers(0, size))
        count = data.draw(st.integers(0, size - offset))
        seen = bytearray(count)
        self.runner.copy_from_device(seen, pointer + offset)
        assert seen == self.model[pointer][offset:offset + count]

    @rule(pointer=blocks, offset=st.integers(0, 400), beyond=st.integers(1, 100))
    def write_past_the_end(self, pointer, offset, beyond):
        if not self.live(pointer):
            return
        size = len(self.model[pointer])
        offset = min(offset, size)
        with pytest.raises(pto_runtime.InvalidPointer):
            self.runner.copy_to_device(pointer + offset, b"\xee" * (size - offset + beyond))

    @rule(pointer=freed)
    def use_what_was_freed(self, pointer):
        if self.live(pointer) or any(base <= pointer <= base + len(data)
                                     for base, data in self.model.items()):
            return
        for call in (lambda: self.runner.free_tensor(pointer),
                     lambda: self.runner.copy_to_device(pointer, b"1"),
                     lambda: self.runner.copy_from_device(bytearray(1), pointer)):
            with pytest.raises(pto_runtime.InvalidPointer):
                call()

    @rule(pointer=blocks, inside=st.integers(1, 400))
    def free_inside(self, pointer, inside):
        if self.live(pointer) and inside < len(self.model[pointer]):
            with pytest.raises(pto_runtime.InvalidPointer):
                self.runner.free_tensor(pointer + inside)

    @precondition(lambda self: self.model)
    @rule(left=blocks, right=blocks, out=blocks, count=st.integers(0, 80))
    def add(self, left, right, out, count):
        """A task's pointers are checked like a copy's, and it does what it says."""
        if not all(map(self.live, (left, right, out))):
            return
        graph = Graph()
        graph.add_task([left, right, out, count], ADD)
        if any(4 * count > len(self.model[pointer]) for pointer in (left, right, out)):
            with pytest.raises(pto_runtime.InvalidPointer):
                self.runner.run(graph)
            return
        assert self.runner.run(graph) == 0
        with np.errstate(all="ignore"):
            terms = [np.frombuffer(bytes(self.model[pointer][:4 * count]), np.float32)
                     for pointer in (left, right)]
            expected = terms[0] + terms[1]
        seen = np.empty(count, np.float32)
        self.runner.copy_from_device(seen, out)
        np.testing.assert_array_equal(seen, expected)
        self.model[out][:4 * count] = seen.tobytes()  # the bits of a NaN are the device's

    @invariant()
    def counts_agree(self):
        assert self.runner.live_blocks == len(self.model)
        assert self.runner.live_bytes == sum(map(len, self.model.values()))


TestDeviceMemory = DeviceMemory.TestCase
TestDeviceMemory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@st.composite
def dags(draw):
    """A number of tasks, and edges from lower to higher ranks of a random order."""
    count = draw(st.integers(1, 60))
    order = draw(st.permutations(range(count)))
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)),
                          max_size=200))
    edges = [(order[min(pair)], order[max(pair)]) for pair in pairs if pair[0] != pair[1]]
    return count, edges


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dag=dags(), cores=st.sampled_from([1, 2, 3, 7, 72]), threads=st.integers(1, 4),
       bulk=st.booleans(), runs=st.integers(1, 3))
def test_random_dags(kernel_file, dag, cores, threads, bulk, runs):
    """Every task runs exactly once, after all its predecessors, in every run."""
    count, edges = dag
    with open_runner(cores, kernel_file, backend="sim") as runner:
        words = runner.allocate_tensor(4 * (count + 1))
        graph = Graph()
        rows = [[words, words + 4 + 4 * task, 1] for task in range(count)]
        if bulk:
            graph.add_tasks(np.array(rows, np.uint64), TRACE)
            graph.add_successors(np.array(edges, np.int64).reshape(-1, 2))
        else:
            for row in rows:
                graph.add_task(row, func_id=TRACE)
            for edge in edges:
                graph.add_successor(*edge)
        assert (len(graph), graph.get_edge_count()) == (count, len(edges))
        graph.validate()
        for _ in range(runs):
            runner.copy_to_device(words, bytes(4 * (count + 1)))
            assert runner.run(graph, threads) == 0
            seen = np.zeros(count + 1, np.uint32)
            runner.copy_from_device(seen, words)
            ticket, when = seen[0], seen[1:]
            assert ticket == count and sorted(when) == list(range(1, count + 1))
            assert all(when[first] < when[second] for first, second in edges)
        assert sum(core.completed for core in runner.handshake_results()) == count
        runner.free_tensor(words)


@settings(max_examples=100, deadline=None)
@given(dag=dags(), extra=st.tuples(st.integers(0, 59), st.integers(0, 59)))
def test_cycles_are_cycles(dag, extra):
    """What a GraphCycle names is a cycle of the graph, and a graph without one is valid."""
    count, edges = dag
    first, second = (task % count for task in extra)
    graph = Graph()
    graph.add_tasks(np.zeros((count, 0), np.uint64), 0)
    graph.add_successors(np.array(edges, np.int64).reshape(-1, 2))
    graph.validate()
    if first == second:
        return
    graph.add_successor(first, second)
    all_edges = set(edges) | {(first, second)}
    try:
        graph.validate()
    except pto_runtime.GraphCycle as error:
        tasks = error.tasks
        assert len(set(tasks)) == len(tasks) >= 2
        assert all(pair in all_edges for pair in zip(tasks, tasks[1:] + tasks[:1]))
    else:
        assert not reaches(all_edges, second, first)


def reaches(edges, start, goal):
    seen = {start}
    queue = [start]
    while queue:
        task = queue.pop()
        for source, target in edges:
            if source == task and target not in seen:
                seen.add(target)
                queue.append(target)
    return goal in seen


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(st.one_of(st.integers(-(2**65), 2**65), st.floats(), st.floats(width=32),
                               st.booleans(), st.none(), st.text(max_size=2)), max_size=8))
def test_any_arguments(args, capsys):
    """add_task takes what it says it takes, as the words it says, and refuses the rest."""
    graph = Graph()
    words = []
    for value in args:
        if type(value) is int and -(2**63) <= value < 2**64:
            words.append(value % 2**64)
        elif type(value) is float and fits_float32(value):
            words.append(int(np.float32(value).view(np.uint32)))
        else:
            with pytest.raises((TypeError, OverflowError), match=rf"args\[{len(words)}\]"):
                graph.add_task(args, 0)
            assert len(graph) == 0
            return
    graph.add_task(args, 0)
    capsys.readouterr()
    graph.print_graph()
    shown = ", ".join(map(hex, words))
    assert f"args=[{shown}]" in capsys.readouterr().out


def fits_float32(value):
    try:
        struct.pack("<f", value)
    except OverflowError:
        return False
    return True
