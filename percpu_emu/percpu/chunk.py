"""A chunk: the allocation map that all its units share, which pages are populated, and the search for a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.percpu.bitmap import align_up, bit_range, runs
from percpu_emu.percpu.block import BLOCK_BITS, GRANULE, Block, better_aligned
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Chunk:
    """`nr_pages` pages of every unit, allocated in granules of 4 bytes (`struct pcpu_chunk`).

    `index` is its number in the page store, `origin` the percpu pointer of its first granule; offsets and lengths
    count granules from there. The chunk's contig hint may be short of the longest free run by up to a page, where a
    free joined runs of two blocks: the kernel saves itself that scan. It is never too long, as v5.0 intends but only
    v5.2 achieves (v5.0 forgets it where an area overlaps it from below, or where a freed run is not the longest of
    its block). Empty pages are counted exactly; v5.0 counts them again with every scan for the hint.
    """

    def __init__(self, index: int, origin: int, nr_pages: int) -> None:
        self.index = index
        self.origin = origin
        self.nr_pages = nr_pages
        self.blocks = [Block() for _ in range(nr_pages)]
        self.populated = 0  # bitmap of pages
        self.empty = bit_range(0, nr_pages)  # bitmap of pages without an allocation
        self.areas: dict[int, int] = {}  # start -> length of every allocation: the kernel's bound map
        self.isolated = False  # taken off the slots, to give empty pages back: `percpu.reclaim`
        self.freed: set[int] = set()  # where areas once stood: tells a double free from a wild one
        self.free_bits = self.contig_hint = nr_pages * BLOCK_BITS
        self.contig_hint_start = 0
        self.first_bit = 0

    @classmethod
    def at_boot(cls, start: int, size: int) -> Chunk:
        """What serves the bytes [`start`, `start + size`) of the first chunk (`pcpu_alloc_first_chunk`)."""
        origin = start // PAGE_SIZE * PAGE_SIZE
        end = align_up(start + size, PAGE_SIZE)
        chunk = cls(0, origin, (end - origin) // PAGE_SIZE)
        chunk.populated = bit_range(0, chunk.nr_pages)
        hidden = ((origin, start), (start + size, end))  # bytes of its outer pages that belong to a neighbour
        for first, last in hidden:
            if first < last:
                chunk._take((first - origin) // GRANULE, (last - origin) // GRANULE)
        return chunk

    @property
    def free_bytes(self) -> int:
        """Bytes of each unit that are not allocated."""
        return self.free_bits * GRANULE

    @property
    def nr_populated(self) -> int:
        """Pages of each unit that are backed with memory."""
        return self.populated.bit_count()

    @property
    def nr_empty_pop_pages(self) -> int:
        """Populated pages without an allocation: what an atomic allocation can hope for."""
        return (self.populated & self.empty).bit_count()

    def unpopulated(self, start: int, end: int) -> list[tuple[int, int]]:
        """The runs of unpopulated pages among pages [`start`, `end`)."""
        return list(runs(bit_range(start, end) & ~self.populated))

    def populated_runs(self) -> list[tuple[int, int]]:
        """The runs of populated pages."""
        return list(runs(self.populated))

    def empty_populated_runs(self) -> list[tuple[int, int]]:
        """The runs of populated pages without an allocation."""
        return list(runs(self.populated & self.empty))

    def find_fit(self, length: int, align: int, *, populated_only: bool) -> int | None:
        """The place the kernel gives `length` granules (`pcpu_find_block_fit`, `pcpu_alloc_area`); None if none.

        Not quite first fit: a chunk or block whose longest run does not take the request at that run's own alignment
        is passed over, even where a better aligned shorter run would do. `populated_only` is for atomic allocations.
        """
        if -self.contig_hint_start % align + length > self.contig_hint:
            return None
        run = run_start = 0  # a free run that reaches the end of the block before
        for index in range(self.first_bit // BLOCK_BITS, self.nr_pages):
            if populated_only and not self.populated >> index & 1:
                run = 0
                continue
            block = self.blocks[index]
            if run:
                run += block.left_free
                if run >= length:
                    return run_start
                if block.left_free == BLOCK_BITS:
                    continue
            if -block.contig_hint_start % align + length <= block.contig_hint:
                return index * BLOCK_BITS + block.find(length, align)
            offset = align_up(BLOCK_BITS - block.right_free, align)
            run, run_start = BLOCK_BITS - offset, index * BLOCK_BITS + offset
            if run >= length:
                return run_start
        return None

    def allocate(self, start: int, length: int) -> None:
        """Take the `length` free granules at `start`."""
        self.areas[start] = length
        self._take(start, start + length)

    def free(self, start: int) -> None:
        """Give the area at `start` back (`pcpu_free_area`); its pages stay populated."""
        length = self.areas.pop(start)
        self.freed.add(start)
        self.free_bits += length
        self.first_bit = min(self.first_bit, start)
        joined = [self._give(index, first, last) for index, first, last in _blocks_of(start, start + length)]
        if joined[0][1] == BLOCK_BITS or len(joined) > 1:
            self._refresh_hint()
        else:
            self._offer(*joined[0])

    def describe(self, offset: int) -> str:
        """What stands at byte `offset`, where no area starts: for the message about a bad pointer."""
        start, odd = divmod(offset, GRANULE)
        for area, length in self.areas.items():
            if area <= start < area + length:
                return f"inside the area {self.origin + area * GRANULE:#x}..+{length * GRANULE}"
        return "freed already" if start in self.freed and not odd else "never allocated"

    def _take(self, start: int, end: int) -> None:
        self.free_bits -= end - start
        for index, first, last in _blocks_of(start, end):
            self.blocks[index].take(first, last)
            self.empty &= ~(1 << index)
        if start == self.first_bit:
            self.first_bit = self._next_free(end)
        if start < self.contig_hint_start + self.contig_hint and self.contig_hint_start < end:
            self._refresh_hint()

    def _next_free(self, bit: int) -> int:
        for index in range(bit // BLOCK_BITS, self.nr_pages):
            if self.blocks[index].free:
                return index * BLOCK_BITS + self.blocks[index].first_free
        return self.nr_pages * BLOCK_BITS

    def _give(self, index: int, first: int, last: int) -> tuple[int, int]:
        """Free a part of block `index`; start and length of the free run of that block it now is part of."""
        block = self.blocks[index]
        start, end = block.give(first, last)
        if block.is_empty:
            self.empty |= 1 << index
        return index * BLOCK_BITS + start, end - start

    def _refresh_hint(self) -> None:
        """Find the longest free run from the hints of the blocks (`pcpu_chunk_refresh_hint`)."""
        self.contig_hint = run = 0
        in_use = (bit_range(0, self.nr_pages) & ~self.empty).bit_length()  # from this page on all is free
        for index in range(self.first_bit // BLOCK_BITS, in_use):
            block = self.blocks[index]
            base = index * BLOCK_BITS
            if run:
                run += block.left_free
                if block.left_free == BLOCK_BITS:
                    continue
                self._offer(base + block.left_free - run, run)
            if block.contig_hint >= self.contig_hint:
                self._offer(base + block.contig_hint_start, block.contig_hint)
            run = block.right_free
        start = in_use * BLOCK_BITS - run
        self._offer(start, self.nr_pages * BLOCK_BITS - start)

    def _offer(self, start: int, length: int) -> None:
        """Let the chunk's hint know of a free run (`pcpu_chunk_update`)."""
        if length > self.contig_hint or (length == self.contig_hint and better_aligned(start, self.contig_hint_start)):
            self.contig_hint = length
            self.contig_hint_start = start


def _blocks_of(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """[`start`, `end`) cut at the ends of blocks: (block, first, last) with offsets of that block."""
    for index in range(start // BLOCK_BITS, (end - 1) // BLOCK_BITS + 1):
        base = index * BLOCK_BITS
        yield index, max(start - base, 0), min(end - base, BLOCK_BITS)
