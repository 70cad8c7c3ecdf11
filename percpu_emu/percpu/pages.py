"""Where the pages of chunks come from: shared memory, or paper for machines bigger than this one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from percpu_emu.shm import PAGE_SIZE, OutOfPages, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.percpu.layout import AreaLayout


class PageStore(Protocol):
    """What the allocator asks of memory. Pages are counted from the start of a unit; `page_end` is not included."""

    max_chunks: int

    def populate(self, chunk: int, page_start: int, page_end: int) -> None:
        """Back these pages of every possible CPU's unit, or raise OutOfPages and back none of them."""

    def depopulate(self, chunk: int, page_start: int, page_end: int) -> None:
        """Take these pages of every possible CPU's unit away."""

    def zero(self, p: int, size: int) -> None:
        """Clear every possible CPU's copy of the `size` bytes at percpu pointer `p`."""

    def held_pages(self) -> int:
        """Pages that are backed now, of all CPUs together."""


class SharedPages:
    """Real pages: chunk after chunk in one sparse segment, which CPU processes inherit.

    CPU `c`'s copy of percpu pointer `p` lies at byte `p + layout.unit_offset(c)` of `segment`. The units that belong
    to no CPU have no page at any time, and nothing here looks into them: reading a hole of a memfd would fill it.
    """

    def __init__(self, layout: AreaLayout, max_chunks: int) -> None:
        self.max_chunks = max_chunks
        self.segment = Segment("percpu", max_chunks * layout.chunk_size)
        self._layout = layout
        self._units = self.segment.bytes.reshape(max_chunks, layout.nr_units, layout.unit_size)

    def populate(self, chunk: int, page_start: int, page_end: int) -> None:
        """One `fallocate` for each possible CPU; all or nothing (`pcpu_populate_chunk`)."""
        done: list[int] = []
        try:
            for offset in self._runs(chunk, page_start):
                self.segment.populate(offset, (page_end - page_start) * PAGE_SIZE)
                done.append(offset)
        except OutOfPages:
            for offset in done:
                self.segment.punch(offset, (page_end - page_start) * PAGE_SIZE)
            raise

    def depopulate(self, chunk: int, page_start: int, page_end: int) -> None:
        """Punch the pages out of every possible CPU's unit (`pcpu_depopulate_chunk`)."""
        for offset in self._runs(chunk, page_start):
            self.segment.punch(offset, (page_end - page_start) * PAGE_SIZE)

    def zero(self, p: int, size: int) -> None:
        """Clear the area in the units of one node after the other: those of a node lie side by side."""
        chunk, offset = divmod(p, self._layout.chunk_size)
        for group in self._layout.group_units:
            self._units[chunk, group.start : group.stop, offset : offset + size] = 0

    def held_pages(self) -> int:
        """Pages that the operating system says the segment holds."""
        return self.segment.held_pages()

    def touched(self) -> Iterator[tuple[int, int, int]]:
        """Chunk, unit and page of every page that was read or written since it was populated, or after it was not."""
        chunk_size, unit_size = self._layout.chunk_size, self._layout.unit_size
        for offset in self.segment.data_pages(0, self.segment.size):
            chunk, inside = divmod(offset, chunk_size)
            yield chunk, inside // unit_size, inside % unit_size // PAGE_SIZE

    def _runs(self, chunk: int, page: int) -> Iterator[int]:
        base = chunk * self._layout.chunk_size + page * PAGE_SIZE
        return (base + self._layout.unit_offset(cpu) for cpu in range(self._layout.nr_cpus))


class CountedPages:
    """Pages on paper: the count and nothing behind it, for the footprint of machines that this one cannot hold."""

    max_chunks = sys.maxsize

    def __init__(self, layout: AreaLayout) -> None:
        self._nr_cpus = layout.nr_cpus
        self._held = 0

    def populate(self, _chunk: int, page_start: int, page_end: int) -> None:
        """Count the pages in."""
        self._held += (page_end - page_start) * self._nr_cpus

    def depopulate(self, _chunk: int, page_start: int, page_end: int) -> None:
        """Count the pages out."""
        self._held -= (page_end - page_start) * self._nr_cpus

    def zero(self, p: int, size: int) -> None:
        """Nothing is there to clear."""

    def held_pages(self) -> int:
        """Pages counted in and not out again."""
        return self._held
