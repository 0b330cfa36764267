# SPDX-License-Identifier: Apache-2.0
"""Task graphs on Ascend NPUs, or on a simulated one.

Build a Graph of tasks, run it on a DeviceRunner:

    >>> import pto_runtime
    >>> runner = pto_runtime.DeviceRunner.get()
    >>> runner.init(device_id=0, num_cores=3,
    ...             aicpu_so_path="aicpu/libaicpu_graph_kernel.so",
    ...             aicore_kernel_path="aicore/kernel.o")
    0
    >>> graph = pto_runtime.Graph()
    >>> runner.run(graph)
    0
    >>> runner.finalize()
    0

Every failure raises a subclass of Error, which says what was asked, what was seen and what to do.
Messages of the runtime go to logging.getLogger("pto_runtime").
"""

from ._core import DeviceRunner, Graph, __version__
from ._errors import (
    BackendUnavailable,
    Busy,
    CheckFailed,
    DeviceError,
    DeviceTimeout,
    Error,
    FileError,
    Forked,
    GraphCycle,
    InternalError,
    InvalidArgument,
    InvalidPointer,
    InvalidProgram,
    InvalidState,
    InvalidType,
    KernelMismatch,
    LimitExceeded,
    OrderFault,
    OutOfMemory,
    OutOfRange,
    RunnerFailed,
    TaskFailed,
    TaskFault,
)
from ._paths import DEVICE_PROGRAM_DIR
from ._report import CheckFinding, CoreResult, FindingList, TaskAccess

__all__ = [
    "BackendUnavailable",
    "Busy",
    "CheckFailed",
    "CheckFinding",
    "CoreResult",
    "DEVICE_PROGRAM_DIR",
    "DeviceError",
    "DeviceRunner",
    "DeviceTimeout",
    "Error",
    "FileError",
    "FindingList",
    "Forked",
    "Graph",
    "GraphCycle",
    "InternalError",
    "InvalidArgument",
    "InvalidPointer",
    "InvalidProgram",
    "InvalidState",
    "InvalidType",
    "KernelMismatch",
    "LimitExceeded",
    "OrderFault",
    "OutOfMemory",
    "OutOfRange",
    "RunnerFailed",
    "TaskAccess",
    "TaskFailed",
    "TaskFault",
    "__version__",
]

# One name for each: a traceback and a pickle say pto_runtime.Busy, not where it is written.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
del _name
