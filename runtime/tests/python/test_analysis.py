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
from pto_runtime import CheckFinding, FindingList, Graph, TaskAccess

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
    told, told_lines = set(), set()
    for race in races:
        assert (race.kind, race.tensor, race.tensor_bytes) == ("racecheck", tensor, 4 * WORDS)
        assert race.edge == (race.other.task, race.access.task) and race.edge[0] < race.edge[1]
        sides = [set(range(side.begin // 4, side.end // 4)) for side in (race.other, race.access)]
        told_lines |= {word // 16 for side in sides for word in side}
        if race.shares_line:
            assert not sides[0] & sides[1] and {word // 16 for word in sides[0]} == \
                {word // 16 for word in sides[1]}
        else:
            assert sides[0] == sides[1]
            told |= sides[0]
    assert (told, told_lines) == (words, lines)
    # These kernels touch all that they declare, so a run with checks finds races where there are
    # some, and none once the edges are there that the findings ask for.
    if races:
        with pytest.raises(pto_runtime.CheckFailed):
            runner.run(graph, check="race")
    while races:
        for race in races:
            graph.add_successor(*race.edge)
        races = graph.find_races(runner)
    assert runner.run(graph, check="race") == 0


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
    assert [race._replace(message="") for race in races] == [
        CheckFinding("racecheck", tensor, 4 * WORDS,
                     TaskAccess(1, ADD_SCALAR, "add_scalar", 2, True, 80, 96),
                     TaskAccess(0, ADD, "add", 2, True, 64, 80), True, (0, 1), ""),
        CheckFinding("racecheck", tensor, 4 * WORDS,
                     TaskAccess(2, ADD_SCALAR, "add_scalar", 0, False, 64, 68),
                     TaskAccess(0, ADD, "add", 2, True, 64, 68), False, (0, 2), ""),
        CheckFinding("racecheck", tensor, 4 * WORDS,
                     TaskAccess(2, ADD_SCALAR, "add_scalar", 2, True, 0, 4),
                     TaskAccess(0, ADD, "add", 0, False, 0, 4), False, (0, 2), ""),
    ]
    assert "graph.add_successor(0, 2)" in str(races[1]) and "cache line" in str(races[0])
    assert str(races).count("\n") == 2 and str(FindingList()) == "no findings"
    assert not FindingList()


def test_max_findings(runner, tensor):
    graph = racing_graph(tensor, 200)
    races = graph.find_races(runner)
    assert (len(races), races.more_findings) == (100, 99) and str(races).endswith("and 99 more")
    few = graph.find_races(runner, max_findings=np.int64(2))
    assert (few, few.more_findings) == (races[:2], 197)
    none = graph.find_races(runner=runner, max_findings=0)
    assert none == [] and none.more_findings == 199 and none  # there are races
    for twin in (copy.deepcopy(few), pickle.loads(pickle.dumps(few))):
        assert type(twin) is FindingList and (twin, twin.more_findings) == (few, 197)
    for wrong in (-1, 100001, 2**70):
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
        for call in (lambda: graph.find_races(runner).more_findings,
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
