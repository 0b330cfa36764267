# SPDX-License-Identifier: Apache-2.0
"""The exceptions, and the one place that chooses among them."""

from typing import Any, Dict, Optional, Tuple, Type

from ._report import CheckFinding


class Error(RuntimeError):
    """Base of every exception that the runtime raises.

    str(error) says what was asked, what was seen and what to do. After it nothing is half done.

    code: the C library's status, a negative number.
    name: its name, for example "PTO_E_POINTER".
    op: the method that raised it, for example "copy_to_device".
    vendor_code: the device driver's own number, 0 when it had no part in it.
    task, func_id, core: the task concerned, its kernel's number, the core; None if there is none.
    kernel: the kernel's name, or None.
    task_code: TaskFailed: what the kernel returned; TaskFault: the signal's number; else None.
    hint: what usually helps, or None.

    An exception of a run with checks also has findings and more_findings, if there were any; see
    CheckFailed.
    """

    code: int = 0
    name: str = ""
    op: str = ""
    vendor_code: int = 0
    task: Optional[int] = None
    func_id: Optional[int] = None
    core: Optional[int] = None
    kernel: Optional[str] = None
    task_code: Optional[int] = None
    hint: Optional[str] = None

    def __str__(self) -> str:
        # Not left to the base classes: OSError and KeyError have ideas of their own.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), self.args, dict(self.__dict__)


class InvalidArgument(Error, ValueError):
    """An argument makes no sense: a self edge, an array that is not contiguous or read-only."""


class InvalidType(Error, TypeError):
    """An argument is of a type that is not taken."""


class OutOfRange(Error, ValueError, OverflowError):
    """A number is outside its documented range."""


class LimitExceeded(Error, ValueError):
    """A documented limit would be passed."""


class InvalidState(Error):
    """Not in this state: before init, after finalize, init twice."""

    hint = "init() opens a closed runner, finalize() closes an open one"


class Busy(Error):
    """The graph or the runner is in use by another call."""

    hint = "wait until the other call has returned, or use another graph or runner"


class Forked(Error):
    """The runner was made before fork(); it works in the parent only."""

    hint = "make a runner in the child, for example with multiprocessing's start method 'spawn'"


class OutOfMemory(Error, MemoryError):
    """Host or device memory is exhausted."""

    hint = "free_tensor() blocks that are no longer needed"


class InvalidPointer(Error, ValueError):
    """Not a device pointer that may be used like this."""

    hint = "use a pointer that allocate_tensor() returned and that is not freed yet"


class GraphCycle(Error, ValueError):
    """The graph has a cycle, so no order of its tasks exists.

    tasks: the numbers of all tasks of one cycle; each runs after the one before it, the first
        after the last.
    """

    tasks: Tuple[int, ...] = ()


class FileError(Error, OSError):
    """A file cannot be found, opened or read."""


class InvalidProgram(Error, ValueError):
    """A file is not a device program for this backend and version."""

    hint = "use the files that were built together with this package"


class BackendUnavailable(Error):
    """The backend asked for cannot be had."""

    hint = 'backend="sim" is always there'


class KernelMismatch(Error, ValueError):
    """A task does not fit its kernel: unknown func_id, argument count, scalar."""


class TaskFailed(Error):
    """A task's kernel returned an error. The runner stays ready."""


class TaskFault(Error):
    """A task's kernel crashed. The runner is failed."""

    hint = "finalize(), then init() recovers the runner"


class DeviceTimeout(Error, TimeoutError):
    """No task completed for the time allowed, or the driver hangs. The runner is failed."""

    hint = "finalize(), then init() recovers the runner; init(timeout=...) allows more time"


class RunnerFailed(Error):
    """An earlier run left the runner failed."""

    hint = "finalize(), then init() recovers the runner"


class DeviceError(Error):
    """The device or its driver reported an error."""

    hint = "finalize(), then init() recovers the runner"


class OrderFault(Error):
    """The explorer found an access without the order it needs. The runner is failed."""

    hint = "init(..., seed=<the seed in the message>) replays it; finalize() first"


class CheckFailed(Error):
    """The checks of a run found faults in kernels or in the graph. The runner stays ready.

    findings: the first 64 of them.
    more_findings: how many there were beyond those.
    """

    findings: Tuple[CheckFinding, ...] = ()
    more_findings: int = 0

    hint = "findings has each of them with its tasks, arguments and bytes"

    def __str__(self) -> str:
        if len(self.findings) < 2:
            return super().__str__()
        count = len(self.findings) + self.more_findings
        lines = [f"run: the checks found {count} faults", *map(str, self.findings)]
        if self.more_findings:
            lines.append(f"and {self.more_findings} more")
        return "\n  ".join(lines)


class InternalError(Error):
    """A defect of the runtime."""

    hint = "please report it, with the message"


# By the status's name, and TYPE for what only the Python side can find.
_CLASSES: Dict[str, Type[Error]] = {
    "PTO_E_ARGUMENT": InvalidArgument,
    "PTO_E_RANGE": OutOfRange,
    "PTO_E_LIMIT": LimitExceeded,
    "PTO_E_STATE": InvalidState,
    "PTO_E_BUSY": Busy,
    "PTO_E_FORKED": Forked,
    "PTO_E_NO_MEMORY": OutOfMemory,
    "PTO_E_POINTER": InvalidPointer,
    "PTO_E_CYCLE": GraphCycle,
    "PTO_E_FILE": FileError,
    "PTO_E_PROGRAM": InvalidProgram,
    "PTO_E_BACKEND": BackendUnavailable,
    "PTO_E_KERNEL": KernelMismatch,
    "PTO_E_TASK": TaskFailed,
    "PTO_E_FAULT": TaskFault,
    "PTO_E_TIMEOUT": DeviceTimeout,
    "PTO_E_FAILED": RunnerFailed,
    "PTO_E_DEVICE": DeviceError,
    "PTO_E_INTERNAL": InternalError,
    "PTO_E_ORDER": OrderFault,
    "PTO_E_CHECK": CheckFailed,
    "TYPE": InvalidType,
}


def make(
    kind: str,
    code: int,
    op: str,
    message: str,
    vendor_code: int,
    task: Optional[int],
    func_id: Optional[int],
    core: Optional[int],
    kernel: Optional[str],
    task_code: Optional[int],
) -> Error:
    """Return the exception for a status. Called by the extension."""
    error = _CLASSES.get(kind, Error)(message)
    error.code = code
    error.name = "PTO_E_ARGUMENT" if kind == "TYPE" else kind
    error.op = op
    error.vendor_code = vendor_code
    error.task = task
    error.func_id = func_id
    error.core = core
    error.kernel = kernel
    error.task_code = task_code
    return error
