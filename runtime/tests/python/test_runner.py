# SPDX-License-Identifier: Apache-2.0
"""DeviceRunner: states, memory, copies, runs, what it tells of itself."""

import array
import gc
import logging
import os
import pathlib
import weakref

import numpy as np
import pytest

import pto_runtime
from conftest import ADD, ADD_SCALAR, AICORE, AICPU, MUL, NOP, open_runner
from pto_runtime import DeviceRunner, Graph

COUNT = 1000


def example(runner, count=COUNT):
    """The specified example; returns the graph and its tensors."""
    tensors = [runner.allocate_tensor(4 * count) for _ in range(6)]
    a, b, c, d, e, f = tensors
    runner.copy_to_device(a, np.full(count, 2, np.float32))
    runner.copy_to_device(b, np.full(count, 3, np.float32))
    graph = Graph()
    graph.add_task([a, b, c, count], ADD)
    graph.add_task([c, 1.0, d, count], ADD_SCALAR)
    graph.add_task([c, 2.0, e, count], ADD_SCALAR)
    graph.add_task([d, e, f, count], MUL)
    for edge in ((0, 1), (0, 2), (1, 3), (2, 3)):
        graph.add_successor(*edge)
    return graph, tensors


def read(runner, tensor, count=COUNT):
    result = np.zeros(count, np.float32)
    assert runner.copy_from_device(result, tensor) == 0
    return result


@pytest.mark.parametrize("num_cores, threads", [
    (1, 1), (3, 1), (3, 2), (72, 4), (1024, 16), (2, 16),
])
def test_example(num_cores, threads):
    with open_runner(num_cores) as runner:
        graph, tensors = example(runner)
        for _ in range(3):
            assert runner.run(graph, launch_aicpu_num=threads) == 0
            assert (read(runner, tensors[5]) == 42).all()
        assert runner.num_cores == num_cores and runner.run_count == 3


def test_default_runner_is_one():
    runner = DeviceRunner.get()
    assert runner is DeviceRunner.get() is DeviceRunner.get()
    assert DeviceRunner() is not runner
    assert isinstance(DeviceRunner.__dict__["get"], staticmethod)
    assert runner.init(device_id=9, num_cores=3, aicpu_so_path="./" + AICPU,
                       aicore_kernel_path="./" + AICORE) == 0
    try:
        assert runner.device_id == 9
    finally:
        assert runner.finalize() == 0


def test_states_and_properties():
    runner = DeviceRunner()
    closed = ("closed", None, None, 0, 0, 0, 0, 0)

    def seen():
        return (runner.state, runner.backend, runner.device_id, runner.num_cores,
                runner.live_blocks, runner.live_bytes, runner.upload_bytes, runner.run_count)

    assert seen() == closed and repr(runner) == "<pto_runtime.DeviceRunner: closed>"
    assert runner.finalize() == 0
    for device_id in (0, 15):
        runner.init(device_id, 2, AICPU, AICORE)
        assert seen() == ("ready", "sim", device_id, 2, 0, 0, 0, 0)
        assert repr(runner) == f"<pto_runtime.DeviceRunner: ready, sim device {device_id}, 2 cores>"
        runner.allocate_tensor(100)
        runner.allocate_tensor(28)
        assert (runner.live_blocks, runner.live_bytes) == (2, 128)
        assert runner.finalize() == 0 and runner.last_freed_blocks == 2
        assert runner.finalize() == 0 and runner.last_freed_blocks == 0
        assert seen() == closed
    with pytest.raises(AttributeError):
        runner.state = "ready"


def test_context_manager():
    with DeviceRunner() as runner:
        assert runner.init(0, 1, AICPU, AICORE) == 0
    assert runner.state == "closed"
    with pytest.raises(ZeroDivisionError):
        with open_runner() as runner:
            raise ZeroDivisionError
    assert runner.state == "closed"
    with DeviceRunner():
        pass


@pytest.mark.parametrize("kind", ["str", "bytes", "path", "relative", "absolute"])
def test_kinds_of_paths(kind, tmp_path, monkeypatch):
    folder = pathlib.Path(pto_runtime.DEVICE_PROGRAM_DIR)
    monkeypatch.chdir(folder if kind == "relative" else tmp_path)
    make = {"str": str, "bytes": os.fsencode, "path": pathlib.Path, "relative": str,
            "absolute": lambda name: str(folder / name)}[kind]
    with DeviceRunner() as runner:
        runner.init(0, 1, make(AICPU), make(AICORE))


def test_a_file_in_the_working_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aicpu").mkdir()
    (tmp_path / AICPU).write_text("not a program")
    with pytest.raises(pto_runtime.InvalidProgram, match=str(tmp_path)):
        DeviceRunner().init(0, 1, AICPU, AICORE)


def test_backend(monkeypatch):
    with open_runner(backend="sim") as runner:
        assert runner.backend == "sim"
    monkeypatch.setenv("PTO_BACKEND", "no such")
    runner = DeviceRunner()
    with pytest.raises(pto_runtime.BackendUnavailable, match="no such"):
        runner.init(0, 1, AICPU, AICORE)
    runner.init(0, 1, AICPU, AICORE, backend="sim")
    runner.finalize()
    with pytest.raises(pto_runtime.BackendUnavailable):
        runner.init(0, 1, AICPU, AICORE, backend="gpu")
    with pytest.raises(pto_runtime.InvalidType, match="backend must be a str"):
        runner.init(0, 1, AICPU, AICORE, backend=3)


@pytest.mark.parametrize("make", [
    lambda: np.arange(24, dtype=np.float64).reshape(2, 3, 4),
    lambda: np.arange(24, dtype=np.int8),
    lambda: np.ones((3, 5), np.float16),
    lambda: np.array([True, False]),
    lambda: np.array(7, np.int64),
    lambda: np.array([1 + 2j]),
    lambda: np.zeros(3, [("a", "i4"), ("b", "f8")]),
    lambda: np.array(["2020-01-01"], "datetime64[D]"),
    lambda: np.zeros((0, 4)),
    lambda: array.array("d", [1, 2, 3]),
    lambda: bytearray(b"some bytes"),
    lambda: memoryview(bytearray(b"some bytes"))[2:6],
], ids=range(12))
def test_copies_keep_bytes(make, runner):
    source = make()
    data = source.tobytes() if hasattr(source, "tobytes") else bytes(source)
    block = runner.allocate_tensor(max(1, len(data)))
    assert runner.copy_to_device(dev_ptr=block, host_data=source) == 0
    target = make()
    flat = target if isinstance(target, (bytearray, memoryview)) else None
    if flat is not None:
        flat[:] = bytes(len(data))
    elif isinstance(target, np.ndarray):
        target = np.zeros_like(target)
    assert runner.copy_from_device(host_data=target, dev_ptr=block) == 0
    assert (target.tobytes() if hasattr(target, "tobytes") else bytes(target)) == data


def test_copies_inside_a_block(runner):
    block = runner.allocate_tensor(100)
    runner.copy_to_device(block, bytes(range(100)))
    runner.copy_to_device(block + 50, b"\xff" * 50)
    part = bytearray(10)
    runner.copy_from_device(part, block + 45)
    assert part == bytes(range(45, 50)) + b"\xff" * 5
    runner.copy_from_device(bytearray(0), block + 100)


def test_uploads_only_what_changed(runner):
    graph, tensors = example(runner)
    runner.run(graph)
    first = runner.upload_bytes
    assert first > 0
    runner.run(graph)
    runner.run(graph)
    assert runner.upload_bytes == first
    graph.set_args(1, [tensors[2], 5.0, tensors[3], COUNT])
    runner.run(graph)
    assert 0 < runner.upload_bytes - first <= 64
    assert (read(runner, tensors[5]) == 70).all()
    before = runner.upload_bytes
    graph.add_successor(graph.add_task([tensors[5], 1.0, tensors[5], COUNT], ADD_SCALAR), 0)
    runner.run(graph)
    assert runner.upload_bytes > before


def test_same_graph_on_two_runners():
    with open_runner() as one, open_runner() as two:
        graph, tensors = example(one)
        one.run(graph)
        with pytest.raises(pto_runtime.InvalidPointer, match="task 0.*argument 0"):
            two.run(graph)
        one.run(graph)
        assert (read(one, tensors[5]) == 42).all()


def test_empty_graph_and_many_graphs(runner):
    assert runner.run(Graph()) == 0
    tensor = runner.allocate_tensor(4)
    for _ in range(50):
        graph = Graph()
        graph.add_task([tensor, tensor, tensor, 1], ADD)
        assert runner.run(graph=graph) == 0


def test_run_refuses(runner):
    for wrong in (None, 5, "graph", runner, Graph):
        with pytest.raises(pto_runtime.InvalidType, match="graph must be a pto_runtime.Graph"):
            runner.run(wrong)
    for count in (0, -1, 17, 2**63 - 1, 2**70):
        with pytest.raises(pto_runtime.OutOfRange, match="launch_aicpu_num"):
            runner.run(Graph(), count)
    with pytest.raises(pto_runtime.InvalidType, match="launch_aicpu_num must be an int"):
        runner.run(Graph(), 1.0)


def test_handshake_results(runner, capsys):
    assert [core.completed for core in runner.handshake_results()] == [0, 0, 0]
    graph, _ = example(runner)
    runner.run(graph)
    cores = runner.handshake_results()
    assert [core.core for core in cores] == [0, 1, 2]
    assert sum(core.completed for core in cores) == 4
    assert all(core.queued == core.completed and core.state == "left" for core in cores)
    assert {core.core_type for core in cores} <= {"aic", "aiv"}
    ran = {core.last_task for core in cores}
    assert 3 in ran
    runner.print_handshake_results()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[-1] == "3 cores completed 4 tasks"


def test_log(caplog):
    caplog.set_level(logging.DEBUG, logger="pto_runtime")
    runner = open_runner()
    taken = [record for record in caplog.records if AICPU in record.getMessage()]
    assert taken and all(record.name == "pto_runtime" for record in caplog.records)
    assert taken[0].levelno == logging.INFO
    assert pto_runtime.DEVICE_PROGRAM_DIR in taken[0].getMessage()
    caplog.clear()
    runner.allocate_tensor(8)
    runner.finalize()
    warnings = [record.getMessage() for record in caplog.records
                if record.levelno == logging.WARNING]
    assert warnings == ["finalize: freed 1 device block that free_tensor had not"]


def test_log_that_raises(monkeypatch):
    """A broken logging set-up does not lose what a call achieved."""
    unraisable = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)

    class Broken(logging.Filter):
        def filter(self, record):
            raise ZeroDivisionError

    logger = logging.getLogger("pto_runtime")
    broken = Broken()
    logger.addFilter(broken)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    logger.manager._clear_cache()
    try:
        with open_runner() as runner:
            assert runner.state == "ready"
    finally:
        logger.removeFilter(broken)
        monkeypatch.undo()
        logger.manager._clear_cache()
    assert unraisable and unraisable[0].exc_type is ZeroDivisionError


def test_run_keeps_the_graph(runner):
    graph, tensors = example(runner)
    reference = weakref.ref(graph)
    runner.run(graph)
    del graph
    gc.collect()
    assert reference() is None
    assert (read(runner, tensors[5]) == 42).all()


def test_large_run(runner):
    count = 200_000
    tensor = runner.allocate_tensor(4)
    runner.copy_to_device(tensor, np.zeros(1, np.float32))
    graph = Graph()
    rows = np.empty((count, 4), np.uint64)
    rows[:] = [tensor, 0x3F800000, tensor, 1]
    graph.add_tasks(rows, ADD_SCALAR)
    chain = np.arange(count, dtype=np.uint32)
    graph.add_successors(np.stack([chain[:-1], chain[1:]], axis=1).copy())
    runner.run(graph)
    assert read(runner, tensor, 1)[0] == count


def test_kernels_of_ones_own(kernel_runner):
    graph = Graph()
    graph.add_task([], NOP)
    assert kernel_runner.run(graph) == 0


def test_subclass(tmp_path):
    class Mine(DeviceRunner):
        def __init__(self, name):
            self.name = name

    with Mine("x") as runner:
        runner.init(0, 1, AICPU, AICORE)
        assert runner.name == "x" and runner.run(Graph()) == 0
    with pytest.raises(TypeError, match="takes no arguments"):
        DeviceRunner("x")
    reference = weakref.ref(runner)
    del runner
    assert reference() is None
