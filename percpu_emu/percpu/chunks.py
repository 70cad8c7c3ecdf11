"""All chunks of a machine: made, populated, destroyed; and the two counts the kernel keeps of their pages."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from percpu_emu.percpu.bitmap import bit_range
from percpu_emu.percpu.chunk import Chunk
from percpu_emu.percpu.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.percpu.layout import AreaLayout
    from percpu_emu.percpu.pages import PageStore


class Chunks:
    """The first chunk, fully populated at boot, and those made since (percpu-vm.c and `pcpu_chunk_populated`).

    The first chunk is static, reserved and dynamic area. Nothing manages the static one; `reserved` is the chunk of
    the reserved one, never on `slots` and outside the count of empty pages. With `boots` False there is no first chunk:
    it is that of another allocator, whose machine this one shares.
    """

    def __init__(self, layout: AreaLayout, store: PageStore, *, boots: bool = True) -> None:
        self.layout = layout
        self.store = store
        self.slots = Slots(layout.unit_size)
        self.nr_populated = 0
        self.nr_empty_pop_pages = 0
        self._empty_pop_pages: dict[Chunk, int] = {}
        self._made: dict[int, Chunk] = {}
        self.reserved: Chunk | None = None
        self._first: Chunk | None = None
        if boots:
            self._boot()

    def _boot(self) -> None:
        layout = self.layout
        self.store.populate(0, 0, layout.boot_pages)
        self.nr_populated = layout.boot_pages
        self.reserved = Chunk.at_boot(layout.static_size, layout.reserved_size) if layout.reserved_size else None
        self._first = Chunk.at_boot(layout.dynamic_start, layout.size_sum - layout.dynamic_start)
        self.changed(self._first)

    def __iter__(self) -> Iterator[Chunk]:
        """Every chunk by its address."""
        if self.reserved:
            yield self.reserved
        if self._first:
            yield self._first
        yield from (self._made[index] for index in sorted(self._made))

    def serving(self, p: int) -> Chunk | None:
        """The chunk that percpu pointer `p` points into (`pcpu_chunk_addr_search`); None for the static area."""
        index = p // self.layout.chunk_size
        if index:
            return self._made.get(index)
        if p >= self.layout.dynamic_start:
            return self._first
        return self.reserved if p >= self.layout.static_size else None

    def is_populated(self, index: int, page: int) -> bool:
        """Whether a page of the chunk at that index is backed."""
        if index == 0:
            return page < self.layout.boot_pages
        return index in self._made and bool(self._made[index].populated >> page & 1)

    def create(self) -> Chunk | None:
        """A wholly free chunk without a page, at the lowest place not in use; None if the store has no place left."""
        index = next(index for index in count(1) if index not in self._made)
        if index >= self.store.max_chunks:
            return None
        chunk = self._made[index] = Chunk(index, index * self.layout.chunk_size, self.layout.unit_pages)
        self.changed(chunk)
        return chunk

    def destroy(self, chunk: Chunk) -> None:
        """Give all pages of a wholly free chunk back, and its place."""
        for run in chunk.populated_runs():
            self.depopulate(chunk, *run)
        self.slots.remove(chunk)
        del self._empty_pop_pages[chunk], self._made[chunk.index]

    def populate(self, chunk: Chunk, page_start: int, page_end: int) -> None:
        """Back unpopulated pages for all possible CPUs at once; raises OutOfPages with nothing changed."""
        self.store.populate(chunk.index, page_start, page_end)
        chunk.populated |= bit_range(page_start, page_end)
        self.nr_populated += page_end - page_start
        self.changed(chunk)

    def depopulate(self, chunk: Chunk, page_start: int, page_end: int) -> None:
        """Take populated pages without an allocation away from all possible CPUs."""
        self.store.depopulate(chunk.index, page_start, page_end)
        chunk.populated &= ~bit_range(page_start, page_end)
        self.nr_populated -= page_end - page_start
        self.changed(chunk)

    def isolate(self, chunk: Chunk) -> None:
        """Take a chunk off the slots, and its empty pages out of the count, until it has given them back."""
        self.slots.isolate(chunk)
        self.changed(chunk)

    def reintegrate(self, chunk: Chunk) -> None:
        """An isolated chunk serves as any other one again."""
        if chunk.isolated:
            self.slots.reintegrate(chunk)
            self.changed(chunk)

    def changed(self, chunk: Chunk) -> None:
        """Bring slots and count of empty populated pages up to date with `chunk`."""
        if chunk is self.reserved:
            return
        self.slots.place(chunk)
        empty = 0 if chunk.isolated else chunk.nr_empty_pop_pages
        self.nr_empty_pop_pages += empty - self._empty_pop_pages.get(chunk, 0)
        self._empty_pop_pages[chunk] = empty
