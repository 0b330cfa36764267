# SPDX-License-Identifier: Apache-2.0
"""fork: a child gets a clear error, and harms neither itself nor its parent."""

import multiprocessing
import os
import sys

import pytest

import pto_runtime
from conftest import ADD, AICORE, AICPU, run_python
from pto_runtime import DeviceRunner, Graph

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")

CALLS = {
    "init": lambda runner, block: runner.init(0, 1, AICPU, AICORE),
    "allocate_tensor": lambda runner, block: runner.allocate_tensor(8),
    "free_tensor": lambda runner, block: runner.free_tensor(block),
    "copy_to_device": lambda runner, block: runner.copy_to_device(block, b"1234"),
    "copy_from_device": lambda runner, block: runner.copy_from_device(bytearray(4), block),
    "run": lambda runner, block: runner.run(Graph()),
    "handshake_results": lambda runner, block: runner.handshake_results(),
    "finalize": lambda runner, block: runner.finalize(),
}


def add_graph(block):
    graph = Graph()
    graph.add_task([block, block, block, 1], ADD)
    return graph


def in_child(function):
    """Runs function in a forked child; returns what it returned, a short text."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            text = function()
        except BaseException as error:  # noqa: B902  (handed to the parent)
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    return text


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("name", CALLS)
def test_call_in_the_child(runner, name):
    block = runner.allocate_tensor(4)
    graph = add_graph(block)
    runner.run(graph)

    def child():
        with pytest.raises(pto_runtime.Forked) as caught:
            CALLS[name](runner, block)
        assert caught.value.op == name and "spawn" in caught.value.hint
        assert runner.state == "closed"
        return str(caught.value)

    text = in_child(child)
    assert str(os.getpid()) in text and "parent" in text
    # The parent's runner is as it was.
    assert runner.run(graph) == 0 and runner.live_blocks == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_collecting_a_runner_in_the_child(runner):
    extra = DeviceRunner()
    extra.init(1, 3, AICPU, AICORE)
    holder = [extra]

    def child():
        holder.clear()
        return "done"

    del extra
    assert in_child(child) == "done"
    assert holder[0].run(Graph()) == 0
    holder[0].finalize()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_runner_of_the_childs_own(runner):
    def child():
        own = DeviceRunner()
        own.init(1, 3, AICPU, AICORE)
        block = own.allocate_tensor(4)
        own.run(add_graph(block))
        own.finalize()
        return "ran"

    assert in_child(child) == "ran"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_graphs_work_in_the_child():
    graph = Graph()
    graph.add_task([], 0)

    def child():
        graph.add_successor(0, graph.add_task([], 0))
        graph.validate()
        return repr(graph)

    assert in_child(child) == "<pto_runtime.Graph: 2 tasks, 1 edge>"
    assert len(graph) == 1


def spawned(path):
    sys.path.insert(0, path)
    import pto_runtime as fresh
    with fresh.DeviceRunner.get() as runner:
        runner.init(0, 2, AICPU, AICORE)
        block = runner.allocate_tensor(4)
        return runner.run(add_graph(block))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_processes_work(runner, method):
    path = os.path.dirname(os.path.dirname(pto_runtime.__file__))
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(spawned, [path] * 2) == [0, 0]


def test_fork_while_another_thread_runs():
    code = ("import os, sys, threading, warnings, pto_runtime\n"
            "from conftest import *\n"
            "warnings.simplefilter('ignore', DeprecationWarning)\n"
            "runner = open_runner()\n"
            "block = runner.allocate_tensor(4)\n"
            "graph = pto_runtime.Graph()\n"
            "for _ in range(1000):\n"
            "    graph.add_task([block, block, block, 1], ADD)\n"
            "stop = threading.Event()\n"
            "def work():\n"
            "    while not stop.is_set():\n"
            "        runner.run(graph)\n"
            "thread = threading.Thread(target=work)\n"
            "thread.start()\n"
            "for _ in range(20):\n"
            "    child = os.fork()\n"
            "    if child == 0:\n"
            "        try:\n"
            "            runner.run(graph)\n"
            "        except pto_runtime.Forked:\n"
            "            os._exit(7)\n"
            "        os._exit(1)\n"
            "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
            "stop.set()\n"
            "thread.join()\n"
            "runner.finalize()\n"
            "print('parent is well')\n")
    done = run_python(code, env={"PTO_BACKEND": "sim"})
    assert (done.returncode, done.stdout) == (0, "parent is well\n"), done.stderr
