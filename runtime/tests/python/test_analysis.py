# SPDX-License-Identifier: Apache-2.0
"""Races and redundant edges: against their definitions, and what the calls refuse."""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pto_runtime
from conftest import ADD, ADD_SCALAR, open_runner, run_python
from pto_runtime import Graph, Race, RaceAccess, RaceList

WORDS = 48  # of the tensor that random tasks use: three lines


@pytest.fixture
def tensor(runner):
    return runner.allocate_tensor(4 * WORDS)


def reachable(count, edges):
    """For each task the set of tasks that a path leads to."""
    after = [set() for _ in range(count)]
    for _ in range(count):
        for first, second in edges:
            after[first] |= {second} | after[second]
    return after


@st.composite
def tasks_and_edges(draw):
    """Tasks as (first word of the source, of the output, words), and edges to higher numbers."""
    place = st.integers(0, WORDS - 1)
    tasks = [(source, out, min(size, WORDS - max(source, out)))
             for source, out, size in draw(st.lists(st.tuples(place, place, st.integers(0, 20)),
                                                    min_size=1, max_size=10))]
    number = st.integers(0, len(tasks) - 1)
    pairs = draw(st.lists(st.tuples(number, number), max_size=20))
    return tasks, [tuple(sorted(pair)) for pair in pairs if pair[0] != pair[1]]


def expected(tasks, edges):
    """The words that race, and the lines that are shared or have such words."""
    after = reachable(len(tasks), edges)
    words, lines = set(), set()
    for second, (source, out, size) in enumerate(tasks):
        for first in range(second):
            other_source, other_out, other_size = tasks[first]
            if second in after[first]:
                continue
            mine, its = set(range(out, out + size)), set(range(other_out, other_out + other_size))
            words |= mine & its
            words |= mine & set(range(other_source, other_source + other_size))
            words |= its & set(range(source, source + size))
            lines |= {word // 16 for word in mine} & {word // 16 for word in its}
    return words, lines | {word // 16 for word in words}


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=tasks_and_edges())
def test_races(runner, tensor, case):
    tasks, edges = case
    graph = Graph()
    for source, out, size in tasks:
        graph.add_task([tensor + 4 * source, 1.0, tensor + 4 * out, size], ADD_SCALAR)
    for edge in edges:
        graph.add_successor(*edge)
    races = graph.find_races(runner)
    words, lines = expected(tasks, edges)
    told = {word for race in races if race.kind == "race"
            for word in range(race.begin // 4, race.end // 4)}
    told_lines = {word // 16 for race in races for word in range(race.begin // 4, race.end // 4)}
    assert (told, told_lines) == (words, lines)
    assert all(race.tensor == tensor and race.first.task < race.second.task for race in races)
    # The edges that the findings ask for mend the graph; what has no race runs.
    while races:
        for race in races:
            graph.add_successor(race.first.task, race.second.task)
        races = graph.find_races(runner)
    assert runner.run(graph) == 0


@settings(max_examples=200, deadline=None)
@given(case=tasks_and_edges())
def test_redundant_edges(case):
    tasks, edges = case
    graph = Graph()
    graph.add_tasks(np.zeros((len(tasks), 0), np.uint64), ADD)
    graph.add_successors(np.array(edges, np.int64).reshape(-1, 2))
    rest = list(edges)
    for edge in reversed(graph.redundant_edges()):
        del rest[len(rest) - 1 - rest[::-1].index(edge)]  # the last of equal ones
    assert reachable(len(tasks), rest) == reachable(len(tasks), edges)
    for edge in rest:  # and nothing more can be left out
        fewer = [other for other in rest if other != edge]
        assert len(fewer) == len(rest) - 1
        assert edge[1] not in reachable(len(tasks), fewer)[edge[0]]


def racing_graph(tensor, count=3):
    graph = Graph()
    for _ in range(count):
        graph.add_task([tensor, 1.0, tensor, 4], ADD_SCALAR)
    return graph


def test_what_a_race_says(runner, tensor):
    graph = Graph()
    graph.add_task([tensor, tensor, tensor + 64, 4], ADD)
    graph.add_task([tensor, 1.0, tensor + 80, 4], ADD_SCALAR)
    graph.add_task([tensor + 64, 1.0, tensor, 1], ADD_SCALAR)
    graph.add_successor(1, 2)
    races = graph.find_races(runner)
    assert races == [
        Race("shared line", RaceAccess(0, ADD, "add", 2, True, 64, 80),
             RaceAccess(1, ADD_SCALAR, "add_scalar", 2, True, 80, 96), tensor, 64, 128),
        Race("race", RaceAccess(0, ADD, "add", 2, True, 64, 80),
             RaceAccess(2, ADD_SCALAR, "add_scalar", 0, False, 64, 68), tensor, 64, 68),
        Race("race", RaceAccess(0, ADD, "add", 0, False, 0, 16),
             RaceAccess(2, ADD_SCALAR, "add_scalar", 2, True, 0, 4), tensor, 0, 4),
    ]
    assert str(races[1]) == (
        f"race: bytes 64 to 67 of the tensor 0x{tensor:x}: task 0 (kernel 'add') writes bytes 64 to"
        " 79 by argument 2; task 2 (kernel 'add_scalar') reads bytes 64 to 67 by argument 0; no "
        "path orders the two. Missing: graph.add_successor(0, 2), or the reverse")
    assert "the line of bytes 64 to 127" in str(races[0])
    assert str(races).count("\n") == 2 and str(RaceList()) == "no races" and not RaceList()


def test_max_findings(runner, tensor):
    graph = racing_graph(tensor, 200)
    races = graph.find_races(runner)
    assert (len(races), races.omitted) == (100, 99) and str(races).endswith("and 99 more")
    few = graph.find_races(runner, max_findings=np.int64(2))
    assert (few, few.omitted) == (races[:2], 197)
    none = graph.find_races(runner=runner, max_findings=0)
    assert none == [] and none.omitted == 199 and none  # there are races
    for twin in (copy.deepcopy(few), pickle.loads(pickle.dumps(few))):
        assert type(twin) is RaceList and (twin, twin.omitted) == (few, 197)
    for wrong in (-1, 1000001, 2**70):
        with pytest.raises(pto_runtime.OutOfRange, match="max_findings"):
            graph.find_races(runner, max_findings=wrong)
    for wrong in ("1", 1.0, True, None):
        with pytest.raises(pto_runtime.InvalidType, match="max_findings must be an int"):
            graph.find_races(runner, max_findings=wrong)


def test_refusals(runner, tensor):
    graph = racing_graph(tensor, 2)
    for wrong in (None, graph, "runner", pto_runtime.DeviceRunner):
        with pytest.raises(pto_runtime.InvalidType, match="runner must be a pto_runtime.Device"):
            graph.find_races(wrong)
    with pytest.raises(TypeError, match="runner"):
        graph.find_races()
    with pytest.raises(pto_runtime.InvalidState, match="find_races.*init"):
        graph.find_races(pto_runtime.DeviceRunner())
    graph.add_successor(0, 1)
    assert graph.find_races(runner) == [] and graph.redundant_edges() == []
    graph.add_successor(1, 0)
    for call in (lambda: graph.find_races(runner), graph.redundant_edges):
        with pytest.raises(pto_runtime.GraphCycle) as caught:
            call()
        assert caught.value.tasks == (0, 1)
    bad = racing_graph(tensor + 1)
    with pytest.raises(pto_runtime.InvalidPointer, match="task 0"):
        bad.find_races(runner)
    unknown = Graph()
    unknown.add_task([], 77)
    with pytest.raises(pto_runtime.KernelMismatch, match="77"):
        unknown.find_races(runner)
    assert Graph().redundant_edges() == [] == Graph().find_races(runner)


def test_threads(runner, tensor):
    """While one thread looks, others may look, run and allocate, and find the graph busy."""
    graph = racing_graph(tensor, 30000)
    seen = []

    def look():
        for call in (lambda: graph.find_races(runner).omitted,
                     lambda: len(graph.redundant_edges())):
            try:
                seen.append(call())
            except pto_runtime.Busy:  # it met the very moment of a change
                pass

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        runner.free_tensor(runner.allocate_tensor(8))
        try:
            graph.set_args(0, [tensor, 1.0, tensor, 4])
        except pto_runtime.Busy:
            pass
    for thread in threads:
        thread.join()
    assert set(seen) <= {29899, 0}


CTRL_C = """
import signal, sys
import numpy as np
import pto_runtime
with pto_runtime.DeviceRunner() as runner:
    runner.init(0, 1, "aicpu/libaicpu_graph_kernel.so", "aicore/kernel.o", backend="sim")
    tensor = runner.allocate_tensor(64)
    graph = pto_runtime.Graph()
    graph.add_tasks(np.tile(np.array([tensor, 0, tensor, 4], np.uint64), (600000, 1)), 1)

    def handler(*_):
        try:
            graph.add_successor(0, 1)
        except pto_runtime.Busy:  # so this is inside the call
            runner.allocate_tensor(8)
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, handler)
    for call in (graph.redundant_edges, lambda: graph.find_races(runner)):
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        try:
            while True:
                call()
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
            print("interrupted", runner.state)
    graph.add_successor(0, 1)
"""


def test_ctrl_c():
    done = run_python(CTRL_C)
    assert done.stderr == "" or "Traceback" not in done.stderr, done.stderr
    assert done.stdout == "interrupted ready\n" * 2
