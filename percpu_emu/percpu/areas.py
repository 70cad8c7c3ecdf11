"""What is known of per-CPU areas, for people: whose they are, who allocated them, and who freed them when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Area(NamedTuple):
    """An area that is, or was, allocated: its percpu pointer and size in bytes, and what is known of it; "" is not."""

    pointer: int
    size: int
    owner: str = ""
    made_by: str = ""
    freed_by: str = ""

    def __str__(self) -> str:
        known = [f"{self.size} bytes", self.owner, f"allocated by {self.made_by}" if self.made_by else ""]
        what = f"per-CPU area {self.pointer:#x} ({', '.join(filter(None, known))})"
        return f"{what}, freed by {self.freed_by}" if self.freed_by else what


class AreaBook:
    """Keeps it, for as long as nothing else lies at that pointer. `who()` says who is at it now, and when."""

    def __init__(self, who: Callable[[], str]) -> None:
        self._who = who
        self._made_by: dict[int, str] = {}
        self._owner: dict[int, str] = {}
        self._freed: dict[int, Area] = {}  # the latest to be freed stand last

    def allocated(self, pointer: int) -> None:
        """Note who has just allocated the area there."""
        self._made_by[pointer] = self._who()

    def name(self, pointer: int, owner: str) -> None:
        """Note whose it is: "vmstats_percpu of cgroup a"."""
        self._owner[pointer] = owner

    def freed(self, pointer: int, size: int) -> None:
        """Note who frees it now."""
        owner, made_by = self._owner.pop(pointer, ""), self._made_by.pop(pointer, "")
        self._freed.pop(pointer, None)
        self._freed[pointer] = Area(pointer, size, owner, made_by, self._who())

    def live(self, pointer: int, size: int) -> Area:
        """What is known of an area that is allocated."""
        return Area(pointer, size, self._owner.get(pointer, ""), self._made_by.get(pointer, ""))

    def last(self, pointer: int) -> Area | None:
        """The last area that began at that pointer and was freed."""
        return self._freed.get(pointer)

    def last_in(self, start: int, end: int) -> Area | None:
        """The last area to be freed that had a byte in [`start`, `end`)."""
        latest_first = reversed(self._freed.values())
        return next((area for area in latest_first if area.pointer < end and start < area.pointer + area.size), None)
