# SPDX-License-Identifier: Apache-2.0
"""What a core reported, the table of it, and what the checks of a run found."""

from typing import Any, Iterable, List, NamedTuple, Optional, Tuple


class CoreResult(NamedTuple):
    """One core after a run, as its handshake was left.

    core: its index in the runner, from 0.
    core_type: "aic" (cube core), "aiv" (vector core) or "unknown".
    physical_id: which core of the device it is.
    state: "absent" (never started), "running", "left" (in order) or "failed".
    queued: tasks that the scheduler gave it in the last run.
    completed: tasks that it completed.
    last_task: the task that it ran last, or None.
    fail_code: what the kernel returned, or the signal's number, if state is "failed".
    """

    core: int
    core_type: str
    physical_id: int
    state: str
    queued: int
    completed: int
    last_task: Optional[int]
    fail_code: int


def format_cores(cores: List[CoreResult]) -> str:
    """Return a table of one line for each core, with a headline and a sum."""
    lines = ["core  type     id    state    queued     completed  last task   fail code"]
    for core in cores:
        last_task = "-" if core.last_task is None else str(core.last_task)
        lines.append(
            f"{core.core:<5} {core.core_type:<8} {core.physical_id:<5} {core.state:<8} "
            f"{core.queued:<10} {core.completed:<10} {last_task:<11} {core.fail_code}"
        )
    total = sum(core.completed for core in cores)
    lines.append(f"{len(cores)} cores completed {total} tasks")
    return "\n".join(lines) + "\n"


class TaskAccess(NamedTuple):
    """What a task did, as a CheckFinding tells it.

    task: the task's number.
    func_id, kernel: its kernel's number and name.
    arg: the argument by which it reaches the tensor, or None.
    writes: whether it wrote; else it read.
    begin, end: bytes begin to end - 1, counted from the tensor's first one; without a tensor,
        addresses. memcheck's may lie before 0 or past the tensor's end. Of bytes that are not next
        to each other, the first and the last.
    """

    task: int
    func_id: int
    kernel: str
    arg: Optional[int]
    writes: bool
    begin: int
    end: int


class CheckFinding(NamedTuple):
    """One thing that the checks of a run found.

    kind: "memcheck", "initcheck" or "racecheck".
    tensor, tensor_bytes: the block's pointer and size; None and 0 when no block is near.
    access: what was found wrong, or the later of the two accesses.
    other: racecheck: the access of the task that ran first; else None.
    shares_line: racecheck: the bytes differ, but share a cache line, and one write would be lost.
    edge: racecheck: (from_task, to_task), the edge that orders the two as they ran; else None.
    message: all of it in words; also str() of the finding.
    """

    kind: str
    tensor: Optional[int]
    tensor_bytes: int
    access: TaskAccess
    other: Optional[TaskAccess]
    shares_line: bool
    edge: Optional[Tuple[int, int]]
    message: str

    def __str__(self) -> str:
        return self.message


class FindingList(List[CheckFinding]):
    """What find_races() found: a list of CheckFinding.

    more_findings: how many there were beyond max_findings.
    """

    more_findings: int

    def __init__(self, findings: Iterable[CheckFinding] = (), more_findings: int = 0) -> None:
        super().__init__(findings)
        self.more_findings = more_findings

    def __bool__(self) -> bool:
        return len(self) > 0 or self.more_findings > 0

    def __str__(self) -> str:
        lines = [str(finding) for finding in self]
        if self.more_findings:
            lines.append(f"and {self.more_findings} more")
        return "\n".join(lines) or "no findings"


_CHECKS = {1: "memcheck", 2: "initcheck", 4: "racecheck"}


def make_finding(
    kind: int,
    shares_line: bool,
    tensor: int,
    tensor_bytes: int,
    access: Tuple[Any, ...],
    other: Optional[Tuple[Any, ...]],
    message: str,
) -> CheckFinding:
    """Return a finding of the library's. Called by the extension."""
    made = TaskAccess(*access)
    before = TaskAccess(*other) if other is not None else None
    edge = (before.task, made.task) if before is not None else None
    return CheckFinding(
        _CHECKS[kind], tensor or None, tensor_bytes, made, before, shares_line, edge, message
    )
