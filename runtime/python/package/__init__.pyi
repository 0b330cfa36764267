# SPDX-License-Identifier: Apache-2.0
from ._core import DeviceRunner as DeviceRunner
from ._core import Graph as Graph
from ._core import __version__ as __version__
from ._errors import BackendUnavailable as BackendUnavailable
from ._errors import Busy as Busy
from ._errors import CheckFailed as CheckFailed
from ._errors import DeviceError as DeviceError
from ._errors import DeviceTimeout as DeviceTimeout
from ._errors import Error as Error
from ._errors import FileError as FileError
from ._errors import Forked as Forked
from ._errors import GraphCycle as GraphCycle
from ._errors import InternalError as InternalError
from ._errors import InvalidArgument as InvalidArgument
from ._errors import InvalidPointer as InvalidPointer
from ._errors import InvalidProgram as InvalidProgram
from ._errors import InvalidState as InvalidState
from ._errors import InvalidType as InvalidType
from ._errors import KernelMismatch as KernelMismatch
from ._errors import LimitExceeded as LimitExceeded
from ._errors import OrderFault as OrderFault
from ._errors import OutOfMemory as OutOfMemory
from ._errors import OutOfRange as OutOfRange
from ._errors import RunnerFailed as RunnerFailed
from ._errors import TaskFailed as TaskFailed
from ._errors import TaskFault as TaskFault
from ._paths import DEVICE_PROGRAM_DIR as DEVICE_PROGRAM_DIR
from ._report import CheckFinding as CheckFinding
from ._report import CoreResult as CoreResult
from ._report import FindingList as FindingList
from ._report import TaskAccess as TaskAccess

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
