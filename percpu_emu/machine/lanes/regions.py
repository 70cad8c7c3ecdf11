"""Regions handed out by the rule of `lang.setting`, so that what programs know of addresses holds natively."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from percpu_emu.lang.setting import OBJECT_WORDS
from percpu_emu.percpu import BadFree, PerCpuExhausted
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE
from percpu_emu.shm.mapping import map_shared


class Regions:
    """Regions of a page, or of a page on each CPU: the k-th of a round at `first + OBJECT_WORDS * k`, none twice.

    It stands for the per-CPU allocator or for the slabs. Each region is a file of its own, which has pages only while
    the region is allocated: any other access, by any process, raises SIGBUS. `places(word)` are the addresses at which
    the pages of a region lie; `who` says who frees one, for people.
    """

    balance_pending = False
    """What the machine asks of a per-CPU allocator."""

    def __init__(
        self, what: str, first: int, limit: int, places: Callable[[int], Sequence[int]], who: Callable[[], str]
    ) -> None:
        self._what = what
        self._first = first
        self._limit = limit
        self._who = who
        self._count = 0
        self._files: list[int] = []
        self._pages: dict[int, int] = {}
        self._freed_by: dict[int, str] = {}
        self.live: set[int] = set()
        self.exhausted = False
        with ExitStack() as undo:
            undo.callback(self.close)
            for index in range(limit):
                self._files.append(os.memfd_create(f"percpu-emu:{what} {index}", os.MFD_CLOEXEC))
                for number, address in enumerate(places(first + OBJECT_WORDS * index)):
                    map_shared(address, PAGE_SIZE, self._files[index], number * PAGE_SIZE)
                    self._pages[address] = index
            undo.pop_all()
        self._length = len(self._pages) // limit * PAGE_SIZE

    def alloc(self, size: int, align: int = WORD_SIZE) -> int:  # noqa: ARG002 - a page is aligned to everything
        """The next region, zeroed; its offset in bytes."""
        if size > OBJECT_WORDS * WORD_SIZE or self._count == self._limit:
            self.exhausted = True
            raise PerCpuExhausted(f"{self._what}: more than {self._limit} a round, or one of {size} bytes")
        os.ftruncate(self._files[self._count], self._length)
        word = self._first + OBJECT_WORDS * self._count
        self._count += 1
        self.live.add(word)
        return word * WORD_SIZE

    def free(self, offset: int) -> None:
        """Take one back, and its pages away. Raises BadFree."""
        word = offset // WORD_SIZE
        if word not in self.live:
            raise BadFree(f"{self._what} {word:#x} is freed, and is not allocated")
        self.live.remove(word)
        index = (word - self._first) // OBJECT_WORDS
        self._freed_by[index] = self._who()
        os.ftruncate(self._files[index], 0)

    @property
    def used(self) -> range:
        """Where the regions of this round begin, those that were freed included."""
        return range(self._first, self._first + OBJECT_WORDS * self._count, OBJECT_WORDS)

    kmalloc = alloc
    kfree = free

    def begin(self) -> None:
        """Hand out from the first one again."""
        for word in self.live:
            os.ftruncate(self._files[(word - self._first) // OBJECT_WORDS], 0)
        self._count = 0
        self._freed_by.clear()
        self.live.clear()

    def describe(self, address: int) -> tuple[bool, str] | None:
        """Which region an address lies in, and whether that was freed in this round; None for an address elsewhere."""
        index = self._pages.get(address & -PAGE_SIZE)
        if index is None:
            return None
        if index in self._freed_by:
            return True, f"{self._what} {index}, which was freed by {self._freed_by[index]}"
        return False, f"{self._what} {index}, which was never allocated"

    def close(self) -> None:
        """Close the files; the pages are gone with the last process that maps them."""
        for file in self._files:
            os.close(file)
        self._files = []
