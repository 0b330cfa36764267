# SPDX-License-Identifier: Apache-2.0
"""Where the device programs that were built with this package are."""

import os

from . import _build

# Absolute. The file names below it are aicpu/libaicpu_graph_kernel.so and aicore/kernel.o.
DEVICE_PROGRAM_DIR: str = os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), _build.DEVICE_PROGRAM_DIR)
)
