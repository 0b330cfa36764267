#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Imports pto_runtime and runs a small graph, with nothing but Python's own modules: what every
supported Python must be able to do with the package, wherever it was installed."""

import array
import os
import sys

import pto_runtime

COUNT = 1000


def main():
    folder = os.path.dirname(pto_runtime.__file__)
    values = array.array("f", range(COUNT))
    runner = pto_runtime.DeviceRunner()
    runner.init(0, 2, "./aicpu/libaicpu_graph_kernel.so", "./aicore/kernel.o", backend="sim")
    tensor = runner.allocate_tensor(4 * COUNT)
    runner.copy_to_device(tensor, values)
    graph = pto_runtime.Graph()
    first = graph.add_task([tensor, 1.5, tensor, COUNT], func_id=1)
    second = graph.add_task([tensor, tensor, tensor, COUNT], func_id=0)
    graph.add_successor(first, second)
    runner.run(graph)
    runner.copy_from_device(values, tensor)
    runner.free_tensor(tensor)
    runner.finalize()
    assert list(values) == [2 * (i + 1.5) for i in range(COUNT)], values[:5]
    print("Python %d.%d.%d" % sys.version_info[:3], folder, "correct")


if __name__ == "__main__":
    sys.exit(main())
