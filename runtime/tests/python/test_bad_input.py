# SPDX-License-Identifier: Apache-2.0
"""Bad input, one test for each kind: it gets its error, nothing is lost, the next call works."""

import os
import pathlib
import re
import shutil
import struct
import sys
import threading

import numpy as np
import pytest

import pto_runtime
from conftest import ADD, AICORE, AICPU, NOP, SPIN, open_runner, run_python
from pto_runtime import DeviceRunner, Graph

PROGRAMS = pathlib.Path(pto_runtime.DEVICE_PROGRAM_DIR)


def add_graph(pointer, count=1):
    graph = Graph()
    graph.add_task([pointer, pointer, pointer, count], ADD)
    return graph


def works(runner):
    """The next correct calls work."""
    block = runner.allocate_tensor(16)
    runner.copy_to_device(block, np.full(4, 2, np.float32))
    assert runner.run(add_graph(block, 4)) == 0
    result = np.zeros(4, np.float32)
    runner.copy_from_device(result, block)
    assert (result == 4).all()
    runner.free_tensor(block)


def all_calls(runner):
    return [lambda: runner.allocate_tensor(1), lambda: runner.free_tensor(64),
            lambda: runner.copy_to_device(64, b"1"),
            lambda: runner.copy_from_device(bytearray(1), 64), lambda: runner.run(Graph()),
            runner.handshake_results, runner.print_handshake_results]


def test_before_init_and_after_finalize():
    runner = DeviceRunner()
    for call in all_calls(runner):
        with pytest.raises(pto_runtime.InvalidState, match="init"):
            call()
    runner.init(0, 3, AICPU, AICORE)
    works(runner)
    runner.finalize()
    for call in all_calls(runner):
        with pytest.raises(pto_runtime.InvalidState, match="init"):
            call()
    runner.init(0, 3, AICPU, AICORE)
    works(runner)
    assert runner.finalize() == 0 and runner.last_freed_blocks == 0


def test_init_twice(runner):
    block = runner.allocate_tensor(8)
    with pytest.raises(pto_runtime.InvalidState, match="finalize"):
        runner.init(1, 5, AICPU, AICORE)
    assert (runner.device_id, runner.num_cores, runner.live_blocks) == (0, 3, 1)
    runner.free_tensor(block)
    works(runner)


@pytest.mark.parametrize("device_id", [-1, 16, 2**31, -(2**63), 2**63, 10**40])
def test_device_id(device_id):
    runner = DeviceRunner()
    with pytest.raises(pto_runtime.OutOfRange, match="device_id"):
        runner.init(device_id, 3, AICPU, AICORE)
    assert runner.state == "closed"


@pytest.mark.parametrize("num_cores", [0, -1, 1025, 2**32, 2**64])
def test_num_cores(num_cores):
    with pytest.raises(pto_runtime.OutOfRange, match="num_cores"):
        DeviceRunner().init(0, num_cores, AICPU, AICORE)


@pytest.mark.parametrize("timeout", [0, -1, -0.5, 1e-9, float("nan"), float("inf"), 1e10, 10**400])
def test_timeout_range(timeout):
    with pytest.raises((pto_runtime.OutOfRange, OverflowError)):
        DeviceRunner().init(0, 1, AICPU, AICORE, timeout=timeout)


@pytest.mark.parametrize("arguments, message", [
    (("0", 3, AICPU, AICORE), "device_id must be an int, not str"),
    ((0, 3.0, AICPU, AICORE), "num_cores must be an int, not float"),
    ((0, True, AICPU, AICORE), "num_cores must be an int, not bool"),
    ((0, 3, None, AICORE), "aicpu_so_path must be a path.*not NoneType"),
    ((0, 3, AICPU, 7), "aicore_kernel_path must be a path.*not int"),
])
def test_types_of_init(arguments, message):
    with pytest.raises(pto_runtime.InvalidType, match=message):
        DeviceRunner().init(*arguments)
    with pytest.raises(pto_runtime.InvalidType, match="timeout must be a number of seconds"):
        DeviceRunner().init(0, 1, AICPU, AICORE, timeout="1")
    with pytest.raises(pto_runtime.InvalidType, match="timeout"):
        DeviceRunner().init(0, 1, AICPU, AICORE, timeout=True)
    with pytest.raises(TypeError, match="at most 4 positional"):
        DeviceRunner().init(0, 1, AICPU, AICORE, "sim")


def refuse_file(path, error, which, message=None):
    paths = {"aicpu_so_path": AICPU, "aicore_kernel_path": AICORE}
    paths[which] = path
    runner = DeviceRunner()
    with pytest.raises(error, match=message) as caught:
        runner.init(0, 3, **paths)
    assert which in str(caught.value)
    assert runner.state == "closed"
    runner.init(0, 3, AICPU, AICORE)  # a failed init can be retried
    works(runner)
    runner.finalize()


@pytest.fixture(params=["aicpu_so_path", "aicore_kernel_path"])
def which(request):
    return request.param


def good_bytes(which):
    return (PROGRAMS / {"aicpu_so_path": AICPU, "aicore_kernel_path": AICORE}[which]).read_bytes()


def test_missing_file(which, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # not the folder of the programs, which would be named once
    refuse_file(tmp_path / "none.so", pto_runtime.FileError, which, "none.so")
    refuse_file("", (pto_runtime.FileError, pto_runtime.InvalidArgument), which)
    refuse_file("no such/file.so", pto_runtime.FileError, which,
                os.getcwd() + "(.|\n)*" + pto_runtime.DEVICE_PROGRAM_DIR)
    refuse_file("nul\0byte", pto_runtime.InvalidArgument, which)
    refuse_file("x" * 5000, pto_runtime.FileError, which)


def test_unreadable_file(which, tmp_path):
    path = tmp_path / "secret.so"
    path.write_bytes(good_bytes(which))
    path.chmod(0)
    if os.access(path, os.R_OK):
        # The superuser reads everything, so a process without that right has to try.
        code = ("import os, sys, pto_runtime\n"
                "os.setgid(65534); os.setuid(65534)\n"
                "paths = dict(aicpu_so_path=sys.argv[2], aicore_kernel_path=sys.argv[3])\n"
                "paths[sys.argv[1]] = sys.argv[4]\n"
                "try:\n"
                "    pto_runtime.DeviceRunner().init(0, 3, **paths)\n"
                "except pto_runtime.FileError as error:\n"
                "    print(error)\n")
        tmp_path.chmod(0o755)
        for parent in list(tmp_path.parents)[:2]:
            parent.chmod(0o755)
        # The build may lie where only the superuser gets.
        programs = [tmp_path / "aicpu.so", tmp_path / "aicore.o"]
        for program, original in zip(programs, (AICPU, AICORE)):
            shutil.copy(PROGRAMS / original, program)
            program.chmod(0o644)
        done = run_python(code, which, *programs, path)
        assert done.returncode == 0 and "secret.so" in done.stdout, done.stderr
    else:
        refuse_file(path, pto_runtime.FileError, which, "secret.so")


def test_folder_and_fifo(which, tmp_path):
    refuse_file(tmp_path, pto_runtime.FileError, which)
    os.mkfifo(tmp_path / "fifo")
    refuse_file(tmp_path / "fifo", pto_runtime.FileError, which)
    refuse_file("/dev/zero", pto_runtime.FileError, which)


def test_no_elf_file(which, tmp_path):
    path = tmp_path / "file.so"
    for content in (b"", b"\x7f", b"#!/bin/sh\n", b"\0" * 4096, b"\x7fELF" + b"\xff" * 4096,
                    bytes(range(256)) * 64):
        path.write_bytes(content)
        refuse_file(path, pto_runtime.InvalidProgram, which)


def test_truncated_file(which, tmp_path):
    good = good_bytes(which)
    path = tmp_path / "file.so"
    for size in {16, 63, 64, 65, 200, 1000, len(good) // 2, len(good) - 1}:
        path.write_bytes(good[:size])
        refuse_file(path, pto_runtime.InvalidProgram, which)


def test_wrong_architecture(which, tmp_path):
    good = bytearray(good_bytes(which))
    path = tmp_path / "file.so"
    machine = struct.unpack_from("<H", good, 18)[0]
    struct.pack_into("<H", good, 18, 183 if machine == 62 else 62)
    path.write_bytes(good)
    refuse_file(path, pto_runtime.InvalidProgram, which)
    good = bytearray(good_bytes(which))
    for place, value in ((4, 1), (5, 2)):  # 32 bits; big endian
        other = bytearray(good)
        other[place] = value
        path.write_bytes(other)
        refuse_file(path, pto_runtime.InvalidProgram, which)


def test_wrong_program(tmp_path):
    refuse_file(PROGRAMS / AICORE, pto_runtime.InvalidProgram, "aicpu_so_path")
    refuse_file(PROGRAMS / AICPU, pto_runtime.InvalidProgram, "aicore_kernel_path")
    refuse_file(sys.modules["pto_runtime._core"].__file__, pto_runtime.InvalidProgram,
                "aicpu_so_path")


def test_kernel_table_of_another_version(tmp_path):
    magic = b"PTOK"
    good = bytearray(good_bytes("aicore_kernel_path"))
    place = re.search(magic + rb".\0\0\0", good, re.DOTALL).start()
    good[place + 4] += 1  # the version follows
    path = tmp_path / "kernel.o"
    path.write_bytes(good)
    refuse_file(path, pto_runtime.InvalidProgram, "aicore_kernel_path", "version")


POINTERS = [0, 1, 64, 2**40, 2**64 - 1, 2**63]


def test_bad_pointers_in_copies(runner):
    freed = runner.allocate_tensor(64)
    block = runner.allocate_tensor(64)
    runner.free_tensor(freed)
    # A neighbouring block of the same size must not make these right by chance.
    bad = [*POINTERS, freed, block - 1, block + 64 + 4096, -1, -(2**63), 2**64, 10**30]
    for pointer in bad:
        for call in (lambda: runner.copy_to_device(pointer, b"12"),
                     lambda: runner.copy_from_device(bytearray(2), pointer)):
            with pytest.raises(pto_runtime.InvalidPointer):
                call()
    with pytest.raises(pto_runtime.InvalidPointer, match="freed"):
        runner.copy_to_device(freed, b"12")
    for wrong in (None, "1", 1.0, True, b"1"):
        with pytest.raises(pto_runtime.InvalidType, match="dev_ptr must be an int"):
            runner.copy_to_device(wrong, b"12")
    works(runner)


def test_swapped_arguments_of_copies(runner):
    block = runner.allocate_tensor(8)
    with pytest.raises(pto_runtime.InvalidType, match="dev_ptr must be an int"):
        runner.copy_to_device(bytearray(8), block)
    with pytest.raises(pto_runtime.InvalidType, match="dev_ptr must be an int"):
        runner.copy_from_device(block, bytearray(8))


def test_bad_pointers_in_tasks(runner):
    freed = runner.allocate_tensor(64)
    block = runner.allocate_tensor(64)
    runner.free_tensor(freed)
    for pointer in [*POINTERS, freed, block + 64, block + 61]:
        for place in range(3):
            args = [block, block, block, 4]
            args[place] = pointer
            graph = Graph()
            graph.add_task(args, ADD)
            with pytest.raises(pto_runtime.InvalidPointer) as caught:
                runner.run(graph)
            assert caught.value.task == 0 and f"argument {place}" in str(caught.value)
    for count in (17, 2**62, 2**64 - 1):
        with pytest.raises((pto_runtime.InvalidPointer, pto_runtime.KernelMismatch)):
            runner.run(add_graph(block, count))
    # Into the middle of a live block is legal while the extent stays inside.
    assert runner.run(add_graph(block + 32, 8)) == 0
    with pytest.raises(pto_runtime.InvalidPointer):
        runner.run(add_graph(block + 32, 9))
    works(runner)


def test_a_freed_tensor_of_an_unchanged_graph(runner):
    block = runner.allocate_tensor(64)
    graph = add_graph(block, 16)
    runner.run(graph)
    runner.free_tensor(block)
    with pytest.raises(pto_runtime.InvalidPointer, match="freed"):
        runner.run(graph)
    works(runner)


def test_bad_frees(runner):
    block = runner.allocate_tensor(64)
    for pointer in [*POINTERS, block + 1, block + 63, block - 64, -1, 2**70]:
        with pytest.raises(pto_runtime.InvalidPointer):
            runner.free_tensor(pointer)
    assert runner.live_blocks == 1
    runner.free_tensor(block)
    with pytest.raises(pto_runtime.InvalidPointer, match="freed"):
        runner.free_tensor(block)
    for wrong in (None, "x", 1.5, True):
        with pytest.raises(pto_runtime.InvalidType, match="ptr must be an int"):
            runner.free_tensor(wrong)
    works(runner)


def test_copies_longer_than_the_block(runner):
    block = runner.allocate_tensor(100)
    runner.copy_to_device(block, bytes(100))
    for offset, size in ((0, 101), (50, 51), (99, 2), (0, 10**7)):
        with pytest.raises(pto_runtime.InvalidPointer):
            runner.copy_to_device(block + offset, b"\1" * size)
        with pytest.raises(pto_runtime.InvalidPointer):
            runner.copy_from_device(bytearray(size), block + offset)
    seen = bytearray(100)
    runner.copy_from_device(seen, block)
    assert seen == bytes(100)


def test_read_only_and_strided_arrays(runner):
    block = runner.allocate_tensor(4096)
    locked = np.zeros(8)
    locked.flags.writeable = False
    assert runner.copy_to_device(block, locked) == 0
    for target in (locked, b"12345678", memoryview(b"1234")):
        with pytest.raises(pto_runtime.InvalidArgument, match="host_data is read-only"):
            runner.copy_from_device(target, block)
    for strided in (np.zeros(16)[::2], np.zeros((4, 4)).T, np.zeros((4, 4))[:, 1:],
                    np.zeros(8)[::-1], memoryview(bytearray(8))[::2]):
        for call in (lambda: runner.copy_to_device(block, strided),
                     lambda: runner.copy_from_device(strided, block)):
            with pytest.raises(pto_runtime.InvalidArgument, match="ascontiguousarray"):
                call()
    for wrong in (None, 5, [1, 2], "text", (1.0,)):
        with pytest.raises(pto_runtime.InvalidType, match="host_data must be"):
            runner.copy_to_device(block, wrong)
    with pytest.raises(pto_runtime.InvalidArgument):
        runner.copy_to_device(block, released_view())
    works(runner)


def released_view():
    view = memoryview(bytearray(4))
    view.release()
    return view


def test_zero_bytes(runner):
    with pytest.raises(pto_runtime.OutOfRange, match="0 bytes"):
        runner.allocate_tensor(0)
    block = runner.allocate_tensor(4)
    assert runner.copy_to_device(block, b"") == 0
    assert runner.copy_from_device(np.zeros(0), block) == 0
    with pytest.raises(pto_runtime.InvalidPointer):
        runner.copy_to_device(0, b"")
    assert runner.run(add_graph(block, 0)) == 0
    works(runner)


@pytest.mark.parametrize("size, error", [
    (-1, pto_runtime.OutOfRange), (-(2**63), pto_runtime.OutOfRange),
    (2**64, pto_runtime.OutOfRange), (2**63, pto_runtime.OutOfMemory),
    (2**64 - 1, pto_runtime.OutOfMemory), (2**62, pto_runtime.OutOfMemory),
    (True, pto_runtime.InvalidType), (1.0, pto_runtime.InvalidType),
    ("1", pto_runtime.InvalidType), (None, pto_runtime.InvalidType),
])
def test_bad_sizes(runner, size, error):
    with pytest.raises(error):
        runner.allocate_tensor(size)
    assert runner.live_blocks == 0
    works(runner)


def test_graph_sizes(runner, kernel_runner):
    assert runner.run(Graph()) == 0
    works(runner)
    count = 1_000_000
    graph = Graph()
    graph.add_tasks(np.zeros((count + 1, 0), np.uint64), NOP)
    edges = np.zeros((count, 2), np.uint32)
    edges[:, 1] = np.arange(1, count + 1)
    graph.add_successors(edges)
    assert kernel_runner.run(graph) == 0
    assert sum(core.completed for core in kernel_runner.handshake_results()) == count + 1


@pytest.mark.parametrize("length", [1, 2, 100_000])
def test_cycles(kernel_runner, length):
    graph = Graph()
    graph.add_tasks(np.zeros((length, 0), np.uint64), NOP)
    if length == 1:
        with pytest.raises(pto_runtime.InvalidArgument, match="after itself"):
            graph.add_successor(0, 0)
        assert kernel_runner.run(graph) == 0
        return
    tasks = np.arange(length, dtype=np.uint64)
    graph.add_successors(np.stack([tasks, np.roll(tasks, -1)], axis=1).copy())
    with pytest.raises(pto_runtime.GraphCycle) as caught:
        kernel_runner.run(graph)
    assert sorted(caught.value.tasks) == list(range(length))
    assert kernel_runner.run_count == 0


def test_changing_a_graph_while_it_runs(kernel_runner):
    flag = kernel_runner.allocate_tensor(4)
    kernel_runner.copy_to_device(flag, bytes(4))
    graph = Graph()
    graph.add_task([flag, 1], SPIN)
    graph.add_task([], NOP)
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(kernel_runner.run(graph)))
    thread.start()
    while kernel_runner.run_count == 0:
        pass  # the count is raised when the graph is pinned and launched
    for call in (lambda: graph.add_task([], NOP), lambda: graph.add_successor(0, 1),
                 lambda: graph.set_args(0, [flag, 1]),
                 lambda: graph.add_tasks(np.zeros((1, 0), np.uint64), NOP),
                 lambda: graph.add_successors(np.array([[0, 1]]))):
        with pytest.raises(pto_runtime.Busy, match="while it runs"):
            call()
    assert (len(graph), graph.get_edge_count()) == (2, 0)
    graph.validate()
    kernel_runner.copy_to_device(flag, b"\1\0\0\0")  # copies are possible during a run
    thread.join()
    assert outcome == [0]
    graph.add_successor(0, 1)
    assert kernel_runner.run(graph) == 0


def test_objects_outlive_the_module():
    code = ("import gc, sys, pto_runtime\n"
            "runner = pto_runtime.DeviceRunner()\n"
            f"runner.init(0, 3, {AICPU!r}, {AICORE!r})\n"
            "graph = pto_runtime.Graph()\n"
            "for name in [name for name in sys.modules if name.startswith('pto_runtime')]:\n"
            "    del sys.modules[name]\n"
            "del pto_runtime\n"
            "gc.collect()\n"
            "block = runner.allocate_tensor(4)\n"
            "assert graph.add_task([block, block, block, 1], func_id=0) == 0\n"
            "assert runner.run(graph) == 0\n"
            "try:\n"
            "    graph.add_task(None, 0)\n"
            "except TypeError as error:\n"
            "    print(type(error).__name__)\n"
            "import pto_runtime\n"
            "again = pto_runtime.Graph()\n"
            "assert type(again) is not type(graph)\n"
            "try:\n"
            "    runner.run(again)\n"
            "except TypeError:\n"
            "    print('foreign graph refused')\n")
    done = run_python(code)
    assert (done.returncode, done.stdout) == (0, "InvalidType\nforeign graph refused\n"), done


def test_uncommon_but_right(tmp_path):
    """What looks odd and is allowed."""
    with open_runner(1, timeout=1) as runner:
        works(runner)
    with open_runner(np.int64(2), timeout=np.float32(5)) as runner:
        works(runner)
