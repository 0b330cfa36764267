# SPDX-License-Identifier: Apache-2.0
"""What a core reported, and the table of it."""

from typing import List, NamedTuple, Optional


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
