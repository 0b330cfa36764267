#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What calls cost from Python: building, running an unchanged small graph, copying.

    python_bench.py --build DIR [--quick] [--quiet] [--json FILE]

DIR is a build with BUILD_PYTHON_BINDINGS. Beside add_task stand a class in plain Python that keeps
the same lists, and the same method bound by pybind11 where that and a C++ compiler are installed.
Beside the copies stands the assignment of a memoryview to a slice of another, which is memmove with
less around it than any other way that Python has. All times are medians of repetitions.
"""

import argparse
import array
import ctypes
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import timeit
from pathlib import Path
from statistics import median

ADD, ADD_SCALAR, MUL = 0, 1, 2
REPEATS = 15
PAGE_BYTES = 4096

PYBIND11_MODULE = """
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <cstdint>
#include <vector>

struct Graph {
    struct Task {
        std::vector<std::uint64_t> args;
        int func_id;
    };
    std::vector<Task> tasks;
    std::size_t add_task(const std::vector<std::uint64_t> &args, int func_id)
    {
        tasks.push_back({args, func_id});
        return tasks.size() - 1;
    }
};

PYBIND11_MODULE(bound_graph, module)
{
    pybind11::class_<Graph>(module, "Graph")
        .def(pybind11::init<>())
        .def("add_task", &Graph::add_task, pybind11::arg("args"), pybind11::arg("func_id"));
}
"""


class PlainGraph:
    """What a graph would be without any extension module."""

    def __init__(self):
        self.tasks = []

    def add_task(self, args, func_id):
        self.tasks.append((func_id, tuple(args)))
        return len(self.tasks) - 1


def bound_graph(folder):
    """The class bound by pybind11, or None where it cannot be had."""
    try:
        import pybind11
    except ModuleNotFoundError:
        return None
    compiler = shutil.which("c++")
    if compiler is None:
        return None
    source = Path(folder) / "bound_graph.cpp"
    source.write_text(PYBIND11_MODULE)
    target = Path(folder) / ("bound_graph" + sysconfig.get_config_var("EXT_SUFFIX"))
    result = subprocess.run(
        [compiler, "-O2", "-DNDEBUG", "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden",
         f"-I{sysconfig.get_path('include')}", f"-I{pybind11.get_include()}",
         str(source), "-o", str(target)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(f"pybind11's equivalent did not compile:\n{result.stderr}", file=sys.stderr)
        return None
    sys.path.insert(0, folder)
    import bound_graph as module
    return module.Graph


def add_task_ns(make_graph, calls):
    """One add_task with four arguments and a keyword, the list included."""
    times = []
    for _ in range(REPEATS):
        names = {"add_task": make_graph().add_task, "a": 4096, "b": 8192, "c": 12288, "n": 16384}
        statement = timeit.Timer("add_task([a, b, c, n], func_id=0)", globals=names)
        times.append(statement.timeit(calls) / calls * 1e9)
    return median(times)


def empty_loop_ns(calls):
    return median(timeit.repeat("pass", number=calls, repeat=REPEATS)) / calls * 1e9


def rows(words, columns):
    """A buffer of 64-bit integers with so many columns, by NumPy or without."""
    try:
        import numpy
        return numpy.frombuffer(words, dtype=numpy.uint64).reshape(-1, columns)
    except ModuleNotFoundError:
        return memoryview(words).cast("B").cast("Q", (len(words) // columns, columns))


def bulk(pto_runtime, tasks):
    """Building `tasks` tasks and about three edges for each by the two bulk calls."""
    args = rows(array.array("Q", [4096, 8192, 12288, 16384]) * tasks, 4)
    flat = array.array("Q")
    for distance in (63, 64, 65):
        for task in range(distance, tasks):
            flat.extend((task - distance, task))
    edges = rows(flat, 2)
    tasks_s, edges_s, whole_s = [], [], []
    for _ in range(5):
        begin = time.perf_counter()
        graph = pto_runtime.Graph()
        graph.add_tasks(args, ADD)
        middle = time.perf_counter()
        graph.add_successors(edges)
        end = time.perf_counter()
        tasks_s.append(middle - begin)
        edges_s.append(end - middle)
        whole_s.append(end - begin)
    edge_count = graph.get_edge_count()
    return {"tasks": tasks, "edges": edge_count, "whole_s": median(whole_s),
            "add_tasks_ns": median(tasks_s) / tasks * 1e9,
            "add_successors_ns": median(edges_s) / edge_count * 1e9}


def run_unchanged(pto_runtime, runner, calls):
    """run() of the example's graph, on tensors of one element: the kernels take next to nothing."""
    a, b, c, d, e, f = (runner.allocate_tensor(64) for _ in range(6))
    runner.copy_to_device(a, array.array("f", [2.0]))
    runner.copy_to_device(b, array.array("f", [3.0]))
    graph = pto_runtime.Graph()
    first = graph.add_task([a, b, c, 1], func_id=ADD)
    left = graph.add_task([c, 1.0, d, 1], func_id=ADD_SCALAR)
    right = graph.add_task([c, 2.0, e, 1], func_id=ADD_SCALAR)
    last = graph.add_task([d, e, f, 1], func_id=MUL)
    for before, after in ((first, left), (first, right), (left, last), (right, last)):
        graph.add_successor(before, after)
    runner.run(graph)
    result = array.array("f", [0.0])
    runner.copy_from_device(result, f)
    if result[0] != 42.0:
        sys.exit(f"the graph computed {result[0]} instead of 42")
    run = runner.run
    times = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        run(graph)
        times.append(time.perf_counter_ns() - begin)
    # What reading the clock twice takes is not the call's.
    clock = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        clock.append(time.perf_counter_ns() - begin)
    for pointer in (a, b, c, d, e, f):
        runner.free_tensor(pointer)
    times.sort()
    return {"unchanged_us": (median(times) - median(clock)) / 1000,
            "p99_us": times[len(times) * 99 // 100] / 1000}


def twin(address, size):
    """A buffer that begins at the same place of its page: where source and destination lie in
    theirs changes the speed of a copy by up to a half."""
    block = bytearray(size + PAGE_BYTES)
    begin = (address - ctypes.addressof(ctypes.c_char.from_buffer(block))) % PAGE_BYTES
    return memoryview(block)[begin:begin + size]


def copy_rates(runner, sizes):
    """GB/s of both directions and, by turns, of slice assignments between like places."""
    found = {}
    for size in sizes:
        host = memoryview(bytearray(b"\x01" * size))
        device = runner.allocate_tensor(size)
        other = twin(device, size)
        calls = max(1, (16 << 20) // size)

        def assign(target=other, source=host):
            target[:] = source

        def assign_back(target=host, source=other):
            target[:] = source

        ways = {"memmove": assign, "memmove_back": assign_back,
                "to_device": lambda host=host, device=device: runner.copy_to_device(device, host),
                "from_device":
                    lambda host=host, device=device: runner.copy_from_device(host, device)}
        times = {name: [] for name in ways}
        for _ in range(REPEATS):
            for name, way in ways.items():
                times[name].append(timeit.timeit(way, number=calls) / calls)
        runner.free_tensor(device)
        rate = {name: size / median(values) / 1e9 for name, values in times.items()}
        found[f"{size >> 10}_kib"] = {
            **{f"{name}_gb_per_s": value for name, value in rate.items()},
            "to_device_ratio": rate["to_device"] / rate["memmove"],
            "from_device_ratio": rate["from_device"] / rate["memmove_back"]}
    found["worst_ratio"] = min(entry[name] for entry in found.values()
                               for name in ("to_device_ratio", "from_device_ratio"))
    return found


def show(data, indent=""):
    for name, value in data.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            show(value, indent + "    ")
        else:
            print(f"{indent}{name:24} {value:12.3f}")


def main():
    parser = argparse.ArgumentParser(description="what calls cost from Python")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    build = options.build.resolve()
    sys.path.insert(0, str(build / "python"))
    import pto_runtime

    calls = 20000 if options.quick else 100000
    runner = pto_runtime.DeviceRunner()
    runner.init(0, 3, build / "aicpu" / "libaicpu_graph_kernel.so",
                build / "aicore" / "kernel.o", backend="sim")
    added = {"pto_ns": add_task_ns(pto_runtime.Graph, calls),
             "plain_python_ns": add_task_ns(PlainGraph, calls),
             "empty_loop_ns": empty_loop_ns(calls)}
    with tempfile.TemporaryDirectory() as folder:
        bound = bound_graph(folder)
        if bound is not None:
            added["pybind11_ns"] = add_task_ns(bound, calls)
    largest = 4 << 20 if options.quick else 64 << 20
    sizes = [size for size in (64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20)
             if size <= largest]
    data = {"add_task": added,
            "bulk": bulk(pto_runtime, calls * 10),
            "run": run_unchanged(pto_runtime, runner, calls),
            "copies": copy_rates(runner, sizes)}
    runner.finalize()
    if not options.quiet:
        show(data)
    if options.json:
        options.json.write_text(json.dumps(data, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
