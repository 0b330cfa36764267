#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build a small task graph, run it on a device, check the result.

    python3 graphbuilder.py [device_id]

computes (a + b + 1) * (a + b + 2) for matrices a = 2 and b = 3 as four tasks:

    c = a + b    d = c + 1    e = c + 2    f = d * e

The device is simulated unless the environment says otherwise. The package is found through
PYTHONPATH, or in the build folder when this is run from there.
"""

import os
import sys


def find_package():
    """Put the built package on sys.path, unless it can be imported as things are.

    Python puts this script's folder on sys.path, not the current one.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    places = [os.getcwd(), os.path.join(os.getcwd(), "python"),
              os.path.join(os.path.dirname(here), "build", "python")]
    try:
        import pto_runtime  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "pto_runtime":
            raise
        for place in places:
            if os.path.isfile(os.path.join(place, "pto_runtime", "__init__.py")):
                sys.path.insert(0, place)
                return
        sys.exit("pto_runtime was not found: not on PYTHONPATH, nor in\n  " + "\n  ".join(places)
                 + "\nBuild it first:\n"
                 "  cd runtime && mkdir -p build && cd build\n"
                 "  cmake .. -DBUILD_PYTHON_BINDINGS=ON && make")


find_package()
try:
    import numpy as np
except ModuleNotFoundError:
    sys.exit(f"This example needs NumPy, which {sys.executable} does not have. Install it:\n"
             f"  {sys.executable} -m pip install numpy\n"
             "or, for Debian's or Ubuntu's own Python:\n"
             "  sudo apt-get install python3-numpy")
import pto_runtime  # noqa: E402  (after find_package)

# Numbers of the kernels in kernel.o.
ADD = 0         # src0, src1, out, n
ADD_SCALAR = 1  # src, scalar, out, n
MUL = 2         # src0, src1, out, n

ROWS = COLUMNS = 128
COUNT = ROWS * COLUMNS
EXPECTED = 42.0


def build_graph(a, b, c, d, e, f):
    """Return the graph of four tasks; the arguments are device pointers."""
    graph = pto_runtime.Graph()
    add = graph.add_task([a, b, c, COUNT], func_id=ADD)
    plus_one = graph.add_task([c, 1.0, d, COUNT], func_id=ADD_SCALAR)
    plus_two = graph.add_task([c, 2.0, e, COUNT], func_id=ADD_SCALAR)
    multiply = graph.add_task([d, e, f, COUNT], func_id=MUL)
    graph.add_successor(add, plus_one)
    graph.add_successor(add, plus_two)
    graph.add_successor(plus_one, multiply)
    graph.add_successor(plus_two, multiply)
    return graph


def check(result):
    """Return whether every element is right, and say which are not."""
    wrong = np.argwhere(result != EXPECTED)
    if len(wrong) == 0:
        print(f"✓ SUCCESS: All {result.size} elements are correct ({EXPECTED})")
        print("Formula verified: (a + b + 1)(a + b + 2) = (2+3+1)*(2+3+2) = 42")
        return True
    print(f"FAILED: {len(wrong)} of {result.size} elements are not {EXPECTED}; the first ones:")
    for row, column in wrong[:5]:
        print(f"  element [{row}, {column}] is {result[row, column]}")
    return False


def run_example(device_id):
    print("=== Graph Builder Example (Python) ===")
    runner = pto_runtime.DeviceRunner.get()
    runner.init(device_id=device_id, num_cores=3,
                aicpu_so_path="./aicpu/libaicpu_graph_kernel.so",
                aicore_kernel_path="./aicore/kernel.o")
    print(f"Device {runner.device_id}: backend {runner.backend}, {runner.num_cores} cores")

    host_a = np.full((ROWS, COLUMNS), 2.0, dtype=np.float32)
    host_b = np.full((ROWS, COLUMNS), 3.0, dtype=np.float32)
    tensors = [runner.allocate_tensor(host_a.nbytes) for _ in range(6)]
    print(f"Allocated {runner.live_blocks} tensors, {runner.live_bytes} bytes")
    runner.copy_to_device(tensors[0], host_a)
    runner.copy_to_device(tensors[1], host_b)

    graph = build_graph(*tensors)
    graph.print_graph()
    runner.run(graph, launch_aicpu_num=1)
    runner.print_handshake_results()

    result = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    runner.copy_from_device(result, tensors[-1])
    for tensor in tensors:
        runner.free_tensor(tensor)
    runner.finalize()
    return check(result)


def main(arguments):
    # The output has a check mark, which not every terminal's encoding knows.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    try:
        device_id = int(arguments[0]) if arguments else 9
    except ValueError:
        print(f"device_id must be a number, not {arguments[0]!r}", file=sys.stderr)
        return 2
    try:
        correct = run_example(device_id)
    except pto_runtime.Error as error:
        print(f"{type(error).__name__} in {error.op}: {error}", file=sys.stderr)
        if error.hint:
            print(f"Hint: {error.hint}", file=sys.stderr)
        return 1
    if not correct:
        return 1
    print("=== Success ===")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
