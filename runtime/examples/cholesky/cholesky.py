#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tile Cholesky factorisation A = L L^T of a float32 matrix as a task graph.

The matrix is cut into tiles, of which those on and below the diagonal are on the device, each in a
tensor of its own. The kernels potrf, trsm, syrk and gemm are those of kernels.c beside this file.
The result is checked against numpy.linalg.cholesky in float64.
"""

import argparse
import os
import sys
import time


def find_package():
    """Put the built package on sys.path, unless it can be imported as things are."""
    runtime = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    places = [os.getcwd(), os.path.join(os.getcwd(), "python"),
              os.path.join(runtime, "build", "python")]
    try:
        import pto_runtime  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "pto_runtime":
            raise
        for place in places:
            if os.path.isfile(os.path.join(place, "pto_runtime", "__init__.py")):
                sys.path.insert(0, place)
                return
        sys.exit("pto_runtime was not found: not on PYTHONPATH, nor in\n  " + "\n  ".join(places))


find_package()
try:
    import numpy as np
except ModuleNotFoundError:
    sys.exit(f"This example needs NumPy, which {sys.executable} does not have. Install it:\n"
             f"  {sys.executable} -m pip install numpy\n"
             "or, for Debian's or Ubuntu's own Python:\n"
             "  sudo apt-get install python3-numpy")
import pto_runtime  # noqa: E402  (after find_package)

POTRF, TRSM, SYRK, GEMM = 20, 21, 22, 23
NAMES = {POTRF: "potrf", TRSM: "trsm", SYRK: "syrk", GEMM: "gemm"}
UNIT_ROUNDOFF = 2.0 ** -24  # of float32

# Of the matrix that make_matrix returns: its eigenvalues are at least 1, and at most 1 + 4 when n
# is large, 4 being the largest of M M^T / n.
CONDITION = 5.0


class TileGraph:
    """A graph whose edges follow from the tiles that each task reads and changes.

    Tasks are added in an order in which they could run one after the other. A task then runs after
    the last one that wrote a tile it touches, and, if it changes a tile, also after all that have
    read that tile since.
    """

    def __init__(self, tensors, tile):
        self.graph = pto_runtime.Graph()
        self.places = []  # for each task: its kernel and the tile that it changes
        self._tensors = tensors
        self._tile = tile
        self._edges = []
        self._writer = {}
        self._readers = {}

    def add(self, func_id, reads, changes):
        args = [self._tensors[place] for place in (*reads, changes)]
        task = self.graph.add_task([*args, self._tile], func_id)
        self.places.append((func_id, changes))
        before = {self._writer[place] for place in (*reads, changes) if place in self._writer}
        before.update(self._readers.pop(changes, ()))
        self._edges.extend((earlier, task) for earlier in before)
        for place in reads:
            self._readers.setdefault(place, []).append(task)
        self._writer[changes] = task

    def finish(self):
        """Give the graph its edges, all at once, and return it."""
        edges = np.array(self._edges, dtype=np.uint64).reshape(-1, 2)
        self.graph.add_successors(edges)
        return self.graph


def add_factorisation(tiles, side):
    for k in range(side):
        tiles.add(POTRF, [], (k, k))
        for i in range(k + 1, side):
            tiles.add(TRSM, [(k, k)], (i, k))
        for i in range(k + 1, side):
            for j in range(k + 1, i):
                tiles.add(GEMM, [(i, k), (j, k)], (i, j))
            tiles.add(SYRK, [(i, k)], (i, i))


def make_matrix(n):
    """Return I + M M^T / n of a random M, which is symmetric and has no eigenvalue below 1."""
    random = np.random.default_rng(42).standard_normal((n, n), dtype=np.float32)
    return (np.eye(n, dtype=np.float32) + random @ random.T / np.float32(n)).astype(np.float32)


def tile_of(matrix, place, tile):
    row, column = place
    return matrix[row * tile:(row + 1) * tile, column * tile:(column + 1) * tile]


def run_once(runner, graph, tensors, matrix, options):
    """Copy the matrix to the device, run, and return how long the run took, in seconds."""
    for place, tensor in tensors.items():
        runner.copy_to_device(tensor, np.ascontiguousarray(tile_of(matrix, place, options.tile)))
    begin = time.perf_counter()
    runner.run(graph, launch_aicpu_num=options.aicpu)
    return time.perf_counter() - begin


def read_factor(runner, tensors, options):
    factor = np.zeros((options.n, options.n), dtype=np.float32)
    buffer = np.empty((options.tile, options.tile), dtype=np.float32)
    for place, tensor in tensors.items():
        runner.copy_from_device(buffer, tensor)
        tile_of(factor, place, options.tile)[:] = buffer
    return factor


def gemm_rate(runner, tile):
    """Return the operations per second of the kernel gemm alone, on one core."""
    count = 32
    tensors = [runner.allocate_tensor(4 * tile * tile) for _ in range(3)]
    for tensor in tensors:
        runner.copy_to_device(tensor, np.zeros((tile, tile), dtype=np.float32))
    graph = pto_runtime.Graph()
    for task in range(count):
        graph.add_task([*tensors, tile], GEMM)
        if task > 0:
            graph.add_successor(task - 1, task)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        runner.run(graph)
        best = min(best, time.perf_counter() - begin)
    for tensor in tensors:
        runner.free_tensor(tensor)
    return count * 2 * tile ** 3 / best


def usable_cpus():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def factor(runner, tiles, tensors, matrix, options):
    """Run the factorisation as often as asked, print its speed, return L."""
    graph = tiles.graph
    times = [run_once(runner, graph, tensors, matrix, options) for _ in range(options.repeat)]
    rate = options.n ** 3 / 3 / min(times)
    # Simulated cores share the CPUs of the process.
    threads = min(runner.num_cores, usable_cpus()) if runner.backend == "sim" else runner.num_cores
    share = rate / (threads * gemm_rate(runner, options.tile))
    print(f"time:   {1e3 * times[0]:.2f} ms the first run, {1e3 * min(times):.2f} ms the best of "
          f"{len(times)}")
    print(f"speed:  {rate * 1e-9:.1f} GFLOP/s, backend {runner.backend}, cores: "
          f"{runner.num_cores}, CPUs: {usable_cpus()}")
    print(f"share:  {100 * share:.0f} % of what {threads} of them would reach with gemm alone")
    return read_factor(runner, tensors, options)


def check(matrix, result):
    """Return whether the result is numpy's in float64, within the rounding of float32.

    To first order, a change of A by the relative amount e changes L by at most cond(A) e / sqrt 2
    (Sun 1991). Rounding in sums of up to n products amounts to a change of about sqrt(n) times the
    unit roundoff; n times it is the bound that no order of evaluation can pass, but signs of
    rounding errors differ, and a bound that is not reached would hide a wrong tile.
    """
    reference = np.linalg.cholesky(matrix.astype(np.float64))
    error = np.linalg.norm(result - reference) / np.linalg.norm(reference)
    bound = CONDITION * np.sqrt(len(matrix)) * UNIT_ROUNDOFF
    correct = bool(error <= bound)  # False when the error is not a number
    print(f"error:  {error:.2e} relative to numpy.linalg.cholesky in float64; {bound:.2e} is "
          "allowed")
    return correct


def fail_as_expected(runner, tiles, tensors, matrix, options):
    """Factor a matrix with a negative diagonal element; return whether the error says which."""
    bad = options.n * 5 // 7
    indefinite = matrix.copy()
    indefinite[bad, bad] = -1
    try:
        run_once(runner, tiles.graph, tensors, indefinite, options)
    except pto_runtime.TaskFailed as error:
        func_id, (row, column) = tiles.places[error.task]
        print(f"TaskFailed, as it should be: {error}\n"
              f"        {NAMES[func_id]} of tile ({row}, {column}) found that the matrix is not "
              f"positive definite at column {error.task_code - 1} of the tile")
        return func_id == POTRF and row * options.tile + error.task_code - 1 == bad
    print("a matrix that is not positive definite was factored")
    return False


def factor_and_check(options):
    side = options.n // options.tile
    matrix = make_matrix(options.n)
    with pto_runtime.DeviceRunner() as runner:
        # A relative path is tried from the working folder, then from the package's build folder.
        runner.init(device_id=options.device, num_cores=options.cores,
                    aicpu_so_path=options.scheduler, aicore_kernel_path=options.kernels)
        tensors = {(row, column): runner.allocate_tensor(4 * options.tile ** 2)
                   for row in range(side) for column in range(row + 1)}
        tiles = TileGraph(tensors, options.tile)
        add_factorisation(tiles, side)
        graph = tiles.finish()
        print(f"matrix: {options.n} x {options.n}, {side} x {side} tiles of {options.tile} x "
              f"{options.tile}")
        print(f"graph:  {graph.get_task_count()} tasks, {graph.get_edge_count()} edges")
        if options.indefinite:
            if not fail_as_expected(runner, tiles, tensors, matrix, options):
                return False
        result = factor(runner, tiles, tensors, matrix, options)
        for tensor in tensors.values():
            runner.free_tensor(tensor)
    return check(matrix, result)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--n", type=int, default=1024, help="rows and columns of the matrix")
    parser.add_argument("--tile", type=int, default=128, help="rows and columns of a tile")
    parser.add_argument("--cores", type=int, default=8, help="AICores")
    parser.add_argument("--aicpu", type=int, default=1, help="AICPU scheduler threads")
    parser.add_argument("--device", type=int, default=9, help="device id")
    parser.add_argument("--repeat", type=int, default=3, help="runs; the best one is reported")
    parser.add_argument("--indefinite", action="store_true",
                        help="first factor a matrix that is not positive definite")
    parser.add_argument("--scheduler", default="aicpu/libaicpu_graph_kernel.so")
    parser.add_argument("--kernels", default="examples/cholesky/kernel.o")
    options = parser.parse_args(arguments)
    if options.n < 1 or options.tile < 1 or options.n % options.tile != 0:
        parser.error("--n must be a multiple of --tile, and both at least 1")
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    return options


def main(arguments):
    options = parse_options(arguments)
    try:
        correct = factor_and_check(options)
    except pto_runtime.Error as error:
        print(f"{type(error).__name__} in {error.op}: {error}", file=sys.stderr)
        if error.hint:
            print(f"Hint: {error.hint}", file=sys.stderr)
        return 1
    print("=== Success ===" if correct else "=== FAILED ===")
    return 0 if correct else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
