"""The per-CPU allocator: areas of every CPU's memory handed out and taken back."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from percpu_emu.percpu.balance import (
    PCPU_EMPTY_POP_PAGES_HIGH,
    PCPU_EMPTY_POP_PAGES_LOW,
    destroy_free_chunks,
    missing_pages,
    top_up,
)
from percpu_emu.percpu.bitmap import align_up, bit_range
from percpu_emu.percpu.block import BLOCK_BITS, GRANULE
from percpu_emu.percpu.chunks import Chunks
from percpu_emu.percpu.layout import KB, PCPU_MIN_UNIT_SIZE, AreaLayout
from percpu_emu.percpu.reclaim import reclaim_populated, should_reclaim
from percpu_emu.shm import PAGE_SIZE, OutOfPages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from percpu_emu.percpu.chunk import Chunk
    from percpu_emu.percpu.pages import PageStore

NULL: Final = 0


class PerCpuExhausted(MemoryError):
    """No room for an area, or no page to put under it; what was there before is as it was."""


class BadFree(ValueError):
    """A pointer to be freed is not that of a live area; nothing has changed."""


class PerCpuAllocator:
    """`alloc_percpu` and `free_percpu` over a page store, after mm/percpu.c of Linux 5.0.

    With `depopulates` it gives empty pages of chunks in use back, as Linux does since 5.14. With `boots` False it has
    no first chunk: it is the second of two that share a machine, as Linux 5.9 to 5.13 keep areas that are charged to a
    cgroup apart.

    A percpu pointer is a byte offset, `chunk * layout.chunk_size + offset in the unit`; a CPU's copy lies
    `layout.unit_offset(cpu)` bytes further on. The kernel runs its balance work from a workqueue; here
    `balance_pending` says that it is due, and the caller runs `balance()`.
    """

    def __init__(self, layout: AreaLayout, store: PageStore, *, depopulates: bool = False, boots: bool = True) -> None:
        self.layout = layout
        self.depopulates = depopulates
        self.balance_pending = False
        self._atomic_alloc_failed = False
        self._store = store
        self._chunks = Chunks(layout, store, boots=boots)

    def alloc(self, size: int, align: int = 8, *, atomic: bool = False, reserved: bool = False) -> int:
        """The percpu pointer of `size` zeroed bytes on every possible CPU (`pcpu_alloc`); never NULL.

        `size` is at most 32 kB and rounded up to 4 bytes, `align` a power of two up to a page. An `atomic` request
        gets only what is populated already, a `reserved` one comes from the reserve for modules. Raises ValueError
        for a request that the kernel would warn about, PerCpuExhausted where there is no room or no page.
        """
        length, step = _granules(size, align)
        chunk, start = self._place(length, step, atomic=atomic, reserved=reserved)
        if not atomic:
            self._populate(chunk, start, length)
        chunk.allocate(start, length)
        self._chunks.changed(chunk)
        if self.nr_empty_pop_pages < PCPU_EMPTY_POP_PAGES_LOW:
            self.balance_pending = True
        p = chunk.origin + start * GRANULE
        self._store.zero(p, length * GRANULE)
        return p

    def free(self, p: int) -> None:
        """Take back the area at percpu pointer `p` (`free_percpu`); its pages stay. NULL is let pass, as there.

        Raises BadFree for a pointer that `alloc` did not return, or that was freed already.
        """
        if p == NULL:
            return
        chunk, start = self._live_area(p, BadFree)
        self._freeing(p, chunk.areas[start] * GRANULE)
        chunk.free(start)
        self._chunks.changed(chunk)
        free_chunks = self._chunks.slots.free_chunks
        if chunk in free_chunks:
            self.balance_pending = self.balance_pending or len(free_chunks) > 1
        elif self.depopulates and should_reclaim(self._chunks, chunk):
            self._chunks.isolate(chunk)
            self.balance_pending = True

    def balance(self) -> None:
        """The balance work (`pcpu_balance_workfn`): destroy free chunks but one, top up the empty populated pages.

        An allocator that depopulates does that in between, and destroys free chunks without a page at the end again.
        """
        self.balance_pending = False
        destroy_free_chunks(self._chunks)
        reclaim_populated(self._chunks)
        wanted = PCPU_EMPTY_POP_PAGES_HIGH if self._atomic_alloc_failed else missing_pages(self._chunks)
        self._atomic_alloc_failed = False
        top_up(self._chunks, wanted)
        if self.depopulates:
            destroy_free_chunks(self._chunks, unpopulated_only=True)

    def is_populated(self, chunk: int, page: int) -> bool:
        """Whether a page of a chunk is backed, in the units of possible CPUs."""
        return self._chunks.is_populated(chunk, page)

    def populated_map(self) -> dict[int, tuple[int, int]]:
        """By each chunk's number: how many pages a unit of it has, and which of them are populated, as a bitmap."""
        boot = self.layout.boot_pages
        found = {0: (boot, bit_range(0, boot))}
        for chunk in self._chunks:
            pages, populated = found.get(chunk.index, (0, 0))
            first = chunk.origin % self.layout.chunk_size // PAGE_SIZE
            found[chunk.index] = (max(pages, first + chunk.nr_pages), populated | chunk.populated << first)
        return found

    @property
    def nr_populated(self) -> int:
        """Populated pages of one unit, over all chunks (`pcpu_nr_populated`)."""
        return self._chunks.nr_populated

    @property
    def nr_empty_pop_pages(self) -> int:
        """Populated pages of one unit without an allocation, the reserve for modules left out."""
        return self._chunks.nr_empty_pop_pages

    def populated_pages(self) -> int:
        """Pages of all units, those that belong to no CPU included: what `Percpu:` counts (`pcpu_nr_pages`)."""
        return self.nr_populated * self.layout.nr_units

    def os_pages_expected(self) -> int:
        """Pages that are really backed: the kernel populates the units of possible CPUs only."""
        return self.nr_populated * self.layout.nr_cpus

    @property
    def percpu_kb(self) -> int:
        """`Percpu:` in /proc/meminfo, in kB."""
        return self.populated_pages() * PAGE_SIZE // KB

    def size_of(self, p: int) -> int:
        """Bytes of the live area at `p`, rounding included. Raises ValueError if none starts there."""
        chunk, start = self._live_area(p, ValueError)
        return chunk.areas[start] * GRANULE

    def live(self) -> Iterator[tuple[int, int]]:
        """(percpu pointer, bytes) of every live area, by address."""
        for chunk in self._chunks:
            for start in sorted(chunk.areas):
                yield chunk.origin + start * GRANULE, chunk.areas[start] * GRANULE

    def _freeing(self, p: int, size: int) -> None:
        """For who keeps a book: the area at `p` is about to be freed."""

    def _place(self, length: int, align: int, *, atomic: bool, reserved: bool) -> tuple[Chunk, int]:
        """A chunk and the place in it for `length` granules, in a new chunk if need be."""
        if reserved and self._chunks.reserved:
            place = _search([self._chunks.reserved], length, align, atomic=atomic)
        else:
            roomy = chain.from_iterable(self._chunks.slots.roomy(length * GRANULE))
            place = _search(roomy, length, align, atomic=atomic)
            if not place and not atomic and (chunk := self._chunks.create()):
                place = chunk, 0
        if not place:
            raise self._no_room(length * GRANULE, atomic=atomic, reserved=reserved)
        self._chunks.reintegrate(place[0])
        return place

    def _populate(self, chunk: Chunk, start: int, length: int) -> None:
        """Back the pages of an area to be, or none of them."""
        done: list[tuple[int, int]] = []
        try:
            for run in chunk.unpopulated(start // BLOCK_BITS, (start + length - 1) // BLOCK_BITS + 1):
                self._chunks.populate(chunk, *run)
                done.append(run)
        except OutOfPages as error:
            for run in done:
                self._chunks.depopulate(chunk, *run)
            raise PerCpuExhausted(f"no page for {length * GRANULE} bytes a CPU: {error}") from error

    def _no_room(self, size: int, *, atomic: bool, reserved: bool) -> PerCpuExhausted:
        if atomic:
            self._atomic_alloc_failed = self.balance_pending = True
        area = "the reserved area" if reserved else f"{self._store.max_chunks} chunks of {self.layout.unit_size} bytes"
        return PerCpuExhausted(f"no room for {size} bytes a CPU in {'populated pages of ' * atomic}{area}")

    def _live_area(self, p: int, refusal: type[ValueError]) -> tuple[Chunk, int]:
        """The chunk and place of the live area at `p`, or a `refusal` that says what stands there instead."""
        chunk = self._chunks.serving(p)
        if chunk:
            start, odd = divmod(p - chunk.origin, GRANULE)
            if start in chunk.areas and not odd:
                return chunk, start
            found = chunk.describe(p - chunk.origin)
        elif 0 <= p < self.layout.static_size:
            found = "in the static area"
        else:
            found = "in no chunk: never allocated, or freed already with its whole chunk"
        raise refusal(f"percpu pointer {p:#x}: {found}")


def _granules(size: int, align: int) -> tuple[int, int]:
    """Size and alignment in granules, both rounded up to whole ones."""
    if not 0 < size <= PCPU_MIN_UNIT_SIZE:
        raise ValueError(f"percpu size {size}: allowed are 1 to {PCPU_MIN_UNIT_SIZE} bytes")
    if not 0 < align <= PAGE_SIZE or align & (align - 1):
        raise ValueError(f"percpu alignment {align}: allowed are powers of two up to {PAGE_SIZE}")
    return align_up(size, GRANULE) // GRANULE, align_up(align, GRANULE) // GRANULE


def _search(chunks: Iterable[Chunk], length: int, align: int, *, atomic: bool) -> tuple[Chunk, int] | None:
    for chunk in chunks:
        start = chunk.find_fit(length, align, populated_only=atomic)
        if start is not None:
            return chunk, start
    return None
