# SPDX-License-Identifier: Apache-2.0
"""Exceptions: classes, attributes, and what a failed run leaves behind."""

import copy
import inspect
import pickle
import re

import pytest

import pto_runtime
from conftest import CRASH, FAIL, HANG, NOP, RUNTIME, SLEEP_NS, open_runner
from pto_runtime import Error, Graph, _errors

BUILTINS = {
    "InvalidArgument": ValueError, "InvalidType": TypeError, "OutOfRange": OverflowError,
    "LimitExceeded": ValueError, "InvalidState": RuntimeError, "Busy": RuntimeError,
    "Forked": RuntimeError, "OutOfMemory": MemoryError, "InvalidPointer": ValueError,
    "GraphCycle": ValueError, "FileError": OSError, "InvalidProgram": ValueError,
    "BackendUnavailable": RuntimeError, "KernelMismatch": ValueError, "TaskFailed": RuntimeError,
    "TaskFault": RuntimeError, "DeviceTimeout": TimeoutError, "RunnerFailed": RuntimeError,
    "DeviceError": RuntimeError, "InternalError": RuntimeError, "OrderFault": RuntimeError,
    "CheckFailed": RuntimeError,
}


def statuses():
    header = (RUNTIME / "include" / "pto" / "status.h").read_text()
    return {name: int(value) for name, value in re.findall(r"(PTO_E_\w+) = (-\d+)", header)}


def test_every_status_has_its_class():
    assert len(statuses()) == 22
    for name, code in statuses().items():
        made = _errors.make(name, code, "run", "text", 0, None, None, None, None, None)
        assert (made.name, made.code) == (name, code)
        # Interrupted is raised as what the signal handler raised.
        assert type(made) is not Error or name == "PTO_E_INTERRUPTED"


@pytest.mark.parametrize("name", BUILTINS)
def test_class(name):
    kind = getattr(pto_runtime, name)
    assert issubclass(kind, Error) and issubclass(kind, RuntimeError)
    assert issubclass(kind, BUILTINS[name]) and kind.__module__ == "pto_runtime"
    assert inspect.getdoc(kind)
    made = kind("some text")
    assert str(made) == "some text" and made.args == ("some text",)


def test_no_class_is_missing():
    classes = {name for name in pto_runtime.__all__
               if isinstance(getattr(pto_runtime, name), type)
               and issubclass(getattr(pto_runtime, name), Error)}
    assert classes == set(BUILTINS) | {"Error"}


@pytest.mark.parametrize("action", [copy.copy, copy.deepcopy,
                                    lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_travel(action):
    for kind in sorted(_errors._CLASSES):
        made = _errors.make(kind, -7, "run", "text", 1, 2, 3, 4, "add", 5)
        again = action(made)
        assert type(again) is type(made) and str(again) == "text"
        assert again.__dict__ == made.__dict__ and again.hint == made.hint
    graph = Graph()
    graph.add_task([], 0)
    graph.add_task([], 0)
    graph.add_successor(0, 1)
    graph.add_successor(1, 0)
    with pytest.raises(pto_runtime.GraphCycle) as caught:
        graph.validate()
    assert sorted(action(caught.value).tasks) == [0, 1]


def test_attributes_of_a_plain_error(runner):
    with pytest.raises(pto_runtime.InvalidPointer) as caught:
        runner.copy_to_device(0, b"abc")
    error = caught.value
    assert (error.code, error.name, error.op) == (-8, "PTO_E_POINTER", "copy_to_device")
    assert (error.task, error.func_id, error.core, error.kernel, error.task_code) == (None,) * 5
    assert error.vendor_code == 0 and "allocate_tensor" in error.hint


def test_attributes_of_what_the_extension_finds():
    with pytest.raises(pto_runtime.InvalidType) as caught:
        Graph().add_task([None], 0)
    error = caught.value
    assert (error.code, error.name, error.op) == (-1, "PTO_E_ARGUMENT", "add_task")
    assert str(error) == "add_task: args[0] must be an int or a float, not NoneType"
    with pytest.raises(pto_runtime.OutOfRange) as caught:
        Graph().add_successor(-1, 0)
    assert (caught.value.code, caught.value.name) == (-2, "PTO_E_RANGE")


def test_kernel_mismatch(runner):
    tensor = runner.allocate_tensor(64)
    for args, func_id, message in [
        ([], 999, "999"),
        ([tensor, tensor, tensor], 0, "3"),
        ([tensor, tensor, tensor, 4, 4], 0, "5"),
    ]:
        graph = Graph()
        graph.add_task([tensor, tensor, tensor, 1], 0)
        graph.add_task(args, func_id)
        with pytest.raises(pto_runtime.KernelMismatch, match=message) as caught:
            runner.run(graph)
        assert caught.value.task == 1 and caught.value.func_id == func_id
        assert runner.state == "ready"
    with pytest.raises(pto_runtime.KernelMismatch, match="add.*mul"):
        graph = Graph()
        graph.add_task([], 3)
        runner.run(graph)


@pytest.mark.parametrize("length", [2, 3])
def test_cycle_in_a_run(runner, length):
    graph = Graph()
    tensor = runner.allocate_tensor(4)
    for _ in range(length):
        graph.add_task([tensor, tensor, tensor, 1], 0)
    for task in range(length):
        graph.add_successor(task, (task + 1) % length)
    with pytest.raises(pto_runtime.GraphCycle) as caught:
        runner.run(graph)
    assert sorted(caught.value.tasks) == list(range(length))
    assert caught.value.op == "run" and runner.state == "ready"


def one_task(args, func_id, after=()):
    graph = Graph()
    task = graph.add_task(args, func_id)
    for more in after:
        graph.add_successor(task, graph.add_task([], more))
    return graph


@pytest.mark.parametrize("code", [1, -1, 77, -(2**31), 2**31 - 1])
def test_task_that_fails(kernel_runner, code):
    graph = one_task([code], FAIL, [NOP])
    for _ in range(2):
        with pytest.raises(pto_runtime.TaskFailed, match="fail") as caught:
            kernel_runner.run(graph)
        error = caught.value
        assert (error.task, error.func_id, error.kernel) == (0, FAIL, "fail")
        assert error.task_code == code and error.core in (0, 1, 2) and error.op == "run"
        assert kernel_runner.state == "ready"
        assert "failed" in [core.state for core in kernel_runner.handshake_results()]
    assert kernel_runner.run(one_task([0], FAIL, [NOP])) == 0


def recovers(runner, kernels):
    """The runner is failed; says so; and works again after finalize and init."""
    assert runner.state == "failed"
    for call in (lambda: runner.run(Graph()), lambda: runner.allocate_tensor(1),
                 lambda: runner.free_tensor(1), lambda: runner.copy_to_device(1, b"1"),
                 lambda: runner.copy_from_device(bytearray(1), 1)):
        with pytest.raises(pto_runtime.RunnerFailed, match="finalize") as caught:
            call()
        assert "init" in caught.value.hint
    assert len(runner.handshake_results()) == runner.num_cores
    assert runner.finalize() == 0
    runner.init(0, 3, "aicpu/libaicpu_graph_kernel.so", kernels)
    assert runner.run(one_task([], NOP)) == 0


@pytest.mark.parametrize("kind, signal_number", [(0, 11), (1, 8), (2, 7), (3, 4), (4, 11)])
def test_task_that_crashes(kernel_runner, kernel_file, kind, signal_number):
    with pytest.raises(pto_runtime.TaskFault, match="crash") as caught:
        kernel_runner.run(one_task([kind], CRASH, [NOP]))
    error = caught.value
    assert (error.task, error.func_id, error.kernel) == (0, CRASH, "crash")
    assert error.task_code == signal_number and error.core in (0, 1, 2)
    recovers(kernel_runner, kernel_file)


def test_task_that_hangs(kernel_file):
    runner = open_runner(kernels=kernel_file, timeout=0.2)
    with pytest.raises(pto_runtime.DeviceTimeout, match="hang") as caught:
        runner.run(one_task([], HANG, [NOP, NOP]))
    error = caught.value
    assert (error.task, error.func_id, error.kernel) == (0, HANG, "hang")
    assert isinstance(error, TimeoutError)
    recovers(runner, kernel_file)
    runner.finalize()


def test_timeout_is_for_no_progress(kernel_file):
    with open_runner(1, kernel_file, timeout=0.5) as runner:
        graph = Graph()
        graph.add_tasks(memoryview(b"".join((50_000_000).to_bytes(8, "little") for _ in range(20)))
                        .cast("Q", (20, 1)), SLEEP_NS)
        assert runner.run(graph) == 0  # 1 s in all


def test_timeout_from_the_environment(kernel_file, monkeypatch):
    monkeypatch.setenv("PTO_TIMEOUT_MS", "200")
    with open_runner(kernels=kernel_file) as runner:
        with pytest.raises(pto_runtime.DeviceTimeout, match="0.200 s"):
            runner.run(one_task([], HANG))


def test_interrupted_without_an_exception_is_not_lost():
    made = _errors.make("PTO_E_SOMETHING", -99, "run", "text", 0, None, None, None, None, None)
    assert type(made) is Error and made.code == -99


def test_every_exception_is_in_the_reference():
    text = (RUNTIME / "python" / "README.md").read_text(encoding="utf-8")
    for name in BUILTINS:
        assert f"`{name}`" in text, name
    for name in statuses():
        assert f"`{name}`" in text, name
