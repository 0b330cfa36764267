# SPDX-License-Identifier: Apache-2.0
"""What find_races() returns."""

from typing import Iterable, List, NamedTuple


class RaceAccess(NamedTuple):
    """One side of a Race: what a task does with a tensor.

    task: its number.
    func_id: its kernel's number.
    kernel: its kernel's name.
    argument: which of its arguments points to the tensor, from 0.
    writes: True for an out or inout argument.
    begin, end: the bytes that the argument declares, as offsets from the tensor's pointer.
    """

    task: int
    func_id: int
    kernel: str
    argument: int
    writes: bool
    begin: int
    end: int

    def __str__(self) -> str:
        verb = "writes" if self.writes else "reads"
        return (f"task {self.task} (kernel '{self.kernel}') {verb} bytes {self.begin} to "
                f"{self.end - 1} by argument {self.argument}")


class Race(NamedTuple):
    """Two tasks that use the same memory and that no path of the graph orders.

    kind: "race", the same bytes, at least one of the two writing them, or "shared line", both
        writing different bytes of one 64-byte line, of which an NPU may lose one.
    first, second: the two sides. graph.add_successor(first.task, second.task) mends it; such edges
        for any number of findings of one call make no cycle.
    tensor: the pointer that allocate_tensor returned.
    begin, end: the bytes that both touch, or the line, as offsets from the tensor's pointer.
    """

    kind: str
    first: RaceAccess
    second: RaceAccess
    tensor: int
    begin: int
    end: int

    def __str__(self) -> str:
        what = "the line of bytes" if self.kind == "shared line" else "bytes"
        return (f"{self.kind}: {what} {self.begin} to {self.end - 1} of the tensor "
                f"0x{self.tensor:x}: {self.first}; {self.second}; no path orders the two. Missing: "
                f"graph.add_successor({self.first.task}, {self.second.task}), or the reverse")


class RaceList(List[Race]):
    """A list of Race, and how many more there are.

    omitted: findings beyond max_findings, which were counted and not kept.
    """

    omitted: int

    def __init__(self, races: Iterable[Race] = (), omitted: int = 0) -> None:
        super().__init__(races)
        self.omitted = omitted

    def __bool__(self) -> bool:
        return len(self) > 0 or self.omitted > 0

    def __str__(self) -> str:
        lines = [str(race) for race in self]
        if self.omitted:
            lines.append(f"and {self.omitted} more")
        return "\n".join(lines) or "no races"


def make_race(kind: str, first: tuple, second: tuple, tensor: int, begin: int, end: int) -> Race:
    """Return the Race of what the extension found."""
    return Race(kind, RaceAccess(*first), RaceAccess(*second), tensor, begin, end)
