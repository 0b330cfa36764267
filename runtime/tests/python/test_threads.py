# SPDX-License-Identifier: Apache-2.0
"""Several threads at once: runs take turns or go in parallel, and nothing blocks the rest."""

import threading

import numpy as np
import pytest

import pto_runtime
from conftest import ADD_SCALAR, NOP, SPIN, open_runner
from pto_runtime import DeviceRunner, Graph


def in_threads(functions):
    """Runs the functions at the same time; returns their results, raises the first exception."""
    results = [None] * len(functions)
    errors = []
    barrier = threading.Barrier(len(functions))

    def body(place, function):
        try:
            barrier.wait()
            results[place] = function()
        except BaseException as error:  # noqa: B902  (handed to the test)
            errors.append(error)

    threads = [threading.Thread(target=body, args=item) for item in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def counting_graph(tensor, tasks):
    """Adds 1 to the tensor, once for each task."""
    graph = Graph()
    for task in range(tasks):
        graph.add_task([tensor, 1.0, tensor, 1], ADD_SCALAR)
        if task > 0:
            graph.add_successor(task - 1, task)
    return graph


def value(runner, tensor):
    result = np.zeros(1, np.float32)
    runner.copy_from_device(result, tensor)
    return result[0]


def zero(runner):
    tensor = runner.allocate_tensor(4)
    runner.copy_to_device(tensor, bytes(4))
    return tensor


def test_runs_on_one_runner_take_turns(runner):
    tensors = [zero(runner) for _ in range(4)]

    def work(tensor):
        graph = counting_graph(tensor, 10)
        for _ in range(50):
            assert runner.run(graph) == 0
        return value(runner, tensor)

    assert in_threads([lambda tensor=tensor: work(tensor) for tensor in tensors]) == [500] * 4
    assert runner.run_count == 200


def test_one_graph_in_several_threads(runner):
    tensor = zero(runner)
    graph = counting_graph(tensor, 10)

    def work():
        for _ in range(50):
            runner.run(graph)

    in_threads([work] * 4)
    assert value(runner, tensor) == 2000


def test_runners_go_in_parallel(kernel_file):
    """Each of two runs waits for a word that is set only while both are running."""
    runners = [open_runner(1, kernel_file) for _ in range(2)]
    flags = []
    for runner in runners:
        flags.append(runner.allocate_tensor(4))
        runner.copy_to_device(flags[-1], bytes(4))

    def work(place):
        graph = Graph()
        graph.add_task([flags[place], 1], SPIN)
        return runners[place].run(graph)

    def release():
        while not all(runner.run_count for runner in runners):
            pass
        for runner, flag in zip(runners, flags):
            runner.copy_to_device(flag, b"\1\0\0\0")

    assert in_threads([lambda: work(0), lambda: work(1), release])[:2] == [0, 0]
    for runner in runners:
        runner.finalize()


def test_memory_calls_during_a_run(kernel_runner):
    flag = zero(kernel_runner)
    graph = Graph()
    graph.add_task([flag, 1], SPIN)

    def other():
        while kernel_runner.run_count == 0:
            pass
        blocks = [kernel_runner.allocate_tensor(64) for _ in range(10)]
        for block in blocks:
            kernel_runner.copy_to_device(block, bytes(range(64)))
            back = bytearray(64)
            kernel_runner.copy_from_device(back, block)
            assert back == bytes(range(64))
        assert kernel_runner.live_blocks == 11 and kernel_runner.state == "ready"
        kernel_runner.copy_to_device(flag, b"\1\0\0\0")
        for block in blocks:
            kernel_runner.free_tensor(block)

    in_threads([lambda: kernel_runner.run(graph), other])
    assert kernel_runner.live_blocks == 1


def test_finalize_waits_for_a_run(kernel_runner):
    flag = zero(kernel_runner)
    graph = Graph()
    graph.add_task([flag, 1], SPIN)
    graph.add_task([], NOP)

    def other():
        while kernel_runner.run_count == 0:
            pass
        timer = threading.Timer(0.05, lambda: kernel_runner.copy_to_device(flag, b"\1\0\0\0"))
        timer.start()
        # The timer's copy must come before finalize has the runner: let it.
        timer.join()
        return kernel_runner.finalize()

    assert in_threads([lambda: kernel_runner.run(graph), other]) == [0, 0]
    assert kernel_runner.state == "closed"


def test_building_graphs_in_threads():
    graph = Graph()

    def work():
        for _ in range(2000):
            graph.add_task([1, 2, 3], 0)

    in_threads([work] * 4)
    assert len(graph) == 8000
    graph.validate()


def test_default_runner_is_made_once():
    assert len(set(map(id, in_threads([DeviceRunner.get] * 8)))) == 1


def test_many_runners(kernel_file):
    def work():
        for _ in range(5):
            with open_runner(4, kernel_file) as runner:
                graph = Graph()
                graph.add_tasks(np.zeros((100, 0), np.uint64), NOP)
                runner.run(graph, 2)
                assert sum(core.completed for core in runner.handshake_results()) == 100

    in_threads([work] * 4)


def test_use_from_a_thread_that_never_ends_well(runner):
    """An exception in one thread leaves the runner to the others."""
    def bad():
        with pytest.raises(pto_runtime.InvalidPointer):
            runner.free_tensor(12345)

    in_threads([bad] * 4)
    assert runner.run(Graph()) == 0
