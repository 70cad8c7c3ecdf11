"""Pages and who pays for them: page counters with their limits, reclaim, out of memory (mm/memcontrol.c, mm/vmscan.c).

The counters of memory.stat are the machine's own: a CPU process updates them by the programs of `kernel.charge`. What
is kept here is the page counter, which limits act on and which memory.current shows.
"""

from __future__ import annotations

import errno
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.machine import NoMemory

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.hierarchy import Group
    from percpu_emu.cgroupfs.running import RunningMachine
    from percpu_emu.machine import Cgroup, Pin

UNLIMITED: Final = 2**63 // 4096 - 1
"""PAGE_COUNTER_MAX, in pages."""
EVENTS: Final = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")


class Cache(Protocol):
    """Who holds pages: a file."""

    def drop(self, index: int) -> None:
        """The page of that number is no longer in memory."""


@dataclass(eq=False)
class Page:
    """A page of page cache."""

    memory: MemoryState
    cache: Cache
    index: int
    pin: Pin


@dataclass(eq=False)
class MemoryState:
    """The memory controller's part of a cgroup; it lives on, dying, for as long as pages are charged to it."""

    cgroup: Cgroup
    parent: MemoryState | None
    children: list[MemoryState] = field(default_factory=list)
    pages: dict[Page, None] = field(default_factory=dict)
    """Its own, the oldest first."""
    usage: int = 0
    peak: int = 0
    limits: dict[str, int] = field(default_factory=lambda: {"max": UNLIMITED, "high": UNLIMITED, "low": 0, "min": 0})
    swap_limits: dict[str, int] = field(default_factory=lambda: {"max": UNLIMITED, "high": UNLIMITED})
    oom_group: bool = False
    events: Counter[str] = field(default_factory=Counter)
    events_local: Counter[str] = field(default_factory=Counter)
    news: int = 0
    """How often memory.events has changed."""

    @property
    def room(self) -> int:
        """Pages that can be charged before a limit of its own acts."""
        return min(self.limits["max"], self.limits["high"]) - self.usage

    def line(self) -> Iterator[MemoryState]:
        """Itself, its parent, and so on."""
        state: MemoryState | None = self
        while state:
            yield state
            state = state.parent

    def below(self) -> Iterator[MemoryState]:
        """Itself and everything below that is not freed."""
        yield self
        for child in self.children:
            yield from child.below()

    def happened(self, event: str) -> None:
        """Count an event, here and at every ancestor."""
        self.events_local[event] += 1
        for state in self.line():
            state.events[event] += 1
            state.news += 1


class Charges:
    """Charges and uncharges pages; one for the machine. `kill(memory, pid)` ends a process, or all of that cgroup."""

    def __init__(self, machine: RunningMachine) -> None:
        self._machine = machine
        self.root = MemoryState(machine.tree.root, None)
        self.kill: Callable[[MemoryState, int], None] = lambda _memory, _pid: None

    def make(self, group: Group) -> MemoryState:
        """The controller's part of a new cgroup. Raises NoMemory."""
        parent = group.parent.charged_to if group.parent else self.root
        state = MemoryState(self._machine.make(group.path), parent)
        parent.children.append(state)
        return state

    def remove(self, memory: MemoryState, released: Callable[[], None]) -> None:
        """rmdir: it dies, and is gone when the last page is."""

        def gone() -> None:
            if memory.parent:
                memory.parent.children.remove(memory)
            released()

        memory.cgroup.on_released = gone
        self._machine.behind += 1
        self._machine.tree.rmdir(memory.cgroup)

    def charge(self, memory: MemoryState, cache: Cache, indices: Sequence[int], pid: int) -> Iterator[Page]:
        """Charge pages for a process, those that the limits have room for at once.

        Raises ENOMEM where a limit leaves no room for one; the process is killed then. Those before are charged.
        """
        while indices:
            room = min(state.room for state in memory.line())
            if room <= 0:
                self._make_room(memory, pid)
            count = max(1, min(len(indices), room))
            now, indices = indices[:count], indices[count:]
            yield from self._charge(memory, cache, now, pid)

    def _make_room(self, memory: MemoryState, pid: int) -> None:
        for state in memory.line():
            if state.usage + 1 > state.limits["max"]:
                state.happened("max")
                if not self.reclaim(state, state.usage + 1 - state.limits["max"]):
                    self._out_of_memory(state, memory, pid)
                    raise refusal(errno.ENOMEM)

    def _charge(self, memory: MemoryState, cache: Cache, indices: Sequence[int], pid: int) -> Iterator[Page]:
        try:
            pins = self._machine.charge(memory.cgroup, len(indices), pid)
        except NoMemory as error:
            raise refusal(errno.ENOMEM) from error
        for state in memory.line():
            state.usage += len(pins)
            state.peak = max(state.peak, state.usage)
        for index, pin in zip(indices, pins, strict=True):
            page = Page(memory, cache, index, pin)
            memory.pages[page] = None
            yield page
        for state in memory.line():
            if state.usage > state.limits["high"]:
                state.happened("high")
                self.reclaim(state, state.usage - state.limits["high"])

    def uncharge(self, pages: Sequence[Page], pid: int = 0) -> None:
        """The pages are gone."""
        for page in pages:
            del page.memory.pages[page]
            for state in page.memory.line():
                state.usage -= 1
        self._machine.uncharge([page.pin for page in pages], pid)

    def reclaim(self, memory: MemoryState, count: int) -> bool:
        """Have files of the subtree lose pages, the oldest of each cgroup first; whether there were so many.

        What a file holds stays: it is as if it were on a disk, and reading it charges a page anew.
        """
        found = list(itertools.islice((page for state in memory.below() for page in state.pages), max(count, 0)))
        for page in found:
            page.cache.drop(page.index)
        if found:
            self.uncharge(found)
        return len(found) >= count

    def limit(self, memory: MemoryState, pages: int) -> None:
        """Write memory.max: what is over it is reclaimed now."""
        memory.limits["max"] = pages
        if memory.usage > pages:
            self.reclaim(memory, memory.usage - pages)

    def _out_of_memory(self, limited: MemoryState, charged: MemoryState, pid: int) -> None:
        limited.happened("oom")
        charged.happened("oom_kill")
        if limited.oom_group:
            limited.happened("oom_group_kill")
        self.kill(limited if limited.oom_group else charged, pid)
