"""Regions handed out by the rule of `lang.setting`, so that what programs know of addresses holds natively."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack

from percpu_emu.lang.setting import OBJECT_WORDS
from percpu_emu.percpu import BadFree, PerCpuExhausted
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE
from percpu_emu.shm.mapping import map_shared


class Misuse(BadFree):
    """A program asks for what has no result: which check of the model it breaks, and what it asked for."""

    def __init__(self, check: str, detail: str, requester: int) -> None:
        super().__init__(detail)
        self.check = check
        self.requester = requester
        """Number of the context that asked."""


class Regions:
    """Regions of a page, or of a page on each CPU: the k-th of a round at `first + OBJECT_WORDS * k`, none twice.

    It stands for the per-CPU allocator or for the slabs. Each region is a file of its own, which has pages only while
    the region is allocated: any other access, by any process, raises SIGBUS. `places(word)` are the addresses at which
    the pages of a region lie; `requester()` is the context that asks, `who` its name and place.
    """

    balance_pending = False
    """What the machine asks of a per-CPU allocator."""

    def __init__(
        self,
        what: str,
        first: int,
        limit: int,
        places: Callable[[int], Sequence[int]],
        who: Callable[[int], str],
        requester: Callable[[], int],
    ) -> None:
        self._what = what
        self._first = first
        self._limit = limit
        self._who = who
        self._requester = requester
        self._count = 0
        self._files: list[int] = []
        self._pages: dict[int, int] = {}
        self._freed_by: dict[int, str] = {}
        self.live: set[int] = set()
        self.exhausted = False
        self.misuse: Misuse | None = None
        """What it was asked for that has no result."""
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
        """The next region, zeroed; its offset in bytes. Raises Misuse for a size that no object of the model has."""
        if not 1 <= size <= OBJECT_WORDS * WORD_SIZE:
            allowed = OBJECT_WORDS * WORD_SIZE
            raise self._misused("fault", f"an object of the model has 1 to {allowed} bytes, not {size}")
        if self._count == self._limit:
            self.exhausted = True
            raise PerCpuExhausted(f"{self._what}: more than {self._limit} a round")
        os.ftruncate(self._files[self._count], self._length)
        word = self._first + OBJECT_WORDS * self._count
        self._count += 1
        self.live.add(word)
        return word * WORD_SIZE

    def free(self, offset: int) -> None:
        """Take one back, and its pages away. Raises Misuse for one that is not allocated."""
        word = offset // WORD_SIZE
        index, inside = divmod(word - self._first, OBJECT_WORDS)
        if word not in self.live:
            if not inside and index in self._freed_by:
                what = f"{self._what} {index} is freed again: {self._freed_by[index]} has freed it"
                raise self._misused("double-free", what)
            raise self._misused("wild-free", f"{word:#x} is freed, where no {self._what} was allocated")
        self.live.remove(word)
        self._freed_by[index] = self._who(self._requester())
        os.ftruncate(self._files[index], 0)

    def _misused(self, check: str, detail: str) -> Misuse:
        self.misuse = Misuse(check, detail, self._requester())
        return self.misuse

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

    def holds(self, word: int) -> bool:
        """Whether a word lies in a region that is allocated."""
        return word - (word - self._first) % OBJECT_WORDS in self.live

    @property
    def addresses(self) -> Collection[int]:
        """Where the pages of all regions lie."""
        return self._pages.keys()

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
