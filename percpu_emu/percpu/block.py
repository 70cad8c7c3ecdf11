"""A block of a chunk's allocation map: the 1024 granules of one page, with hints that spare most scans of it."""

from __future__ import annotations

from typing import Final

from percpu_emu.percpu.bitmap import bit_range, find_run, lowest, runs
from percpu_emu.shm import PAGE_SIZE

GRANULE: Final = 4  # bytes; PCPU_MIN_ALLOC_SIZE
BLOCK_BITS: Final = PAGE_SIZE // GRANULE  # PCPU_BITMAP_BLOCK_BITS
_ALL_FREE: Final = (1 << BLOCK_BITS) - 1


class Block:
    """Which granules of one page are free, and where its free runs lie (`struct pcpu_block_md`).

    All offsets and lengths count granules from the start of the block. The lengths are exact at all times; where
    several runs are the longest, `contig_hint_start` names the one the kernel would: the best aligned one it has met.
    """

    __slots__ = ("contig_hint", "contig_hint_start", "first_free", "free", "left_free", "right_free")

    def __init__(self) -> None:
        self.free = _ALL_FREE
        self.first_free = 0
        self.contig_hint = BLOCK_BITS
        self.contig_hint_start = 0
        self.left_free = BLOCK_BITS
        self.right_free = BLOCK_BITS

    @property
    def is_empty(self) -> bool:
        """Whether nothing is allocated in this page."""
        return self.free == _ALL_FREE

    def find(self, length: int, align: int) -> int:
        """The first aligned place for `length` granules (`bitmap_find_next_zero_area`); -1 if there is none."""
        return find_run(self.free, length, align, BLOCK_BITS)

    def take(self, start: int, end: int) -> None:
        """Allocate [`start`, `end`), all of it free (`pcpu_block_update_hint_alloc`, for one block)."""
        self.free ^= bit_range(start, end)
        if start == self.first_free:
            self.first_free = lowest(self.free) if self.free else BLOCK_BITS
        if self.contig_hint_start <= start < self.contig_hint_start + self.contig_hint:
            self._refresh()
        else:
            self.left_free = min(self.left_free, start)
            self.right_free = min(self.right_free, BLOCK_BITS - end)

    def give(self, start: int, end: int) -> tuple[int, int]:
        """Free [`start`, `end`); returns the free run of this block that it now is part of."""
        self.free |= bit_range(start, end)
        taken = ~self.free & _ALL_FREE
        run_start = (taken & bit_range(0, start)).bit_length()
        above = taken >> end
        run_end = end + lowest(above) if above else BLOCK_BITS
        self._offer(run_start, run_end)
        return run_start, run_end

    def _refresh(self) -> None:
        """Scan the whole block for its hints (`pcpu_block_refresh_hint`)."""
        self.contig_hint = self.left_free = self.right_free = 0
        for start, end in runs(self.free):
            self._offer(start, end)

    def _offer(self, start: int, end: int) -> None:
        """Let the hints know of the free run [`start`, `end`) (`pcpu_block_update`)."""
        length = end - start
        self.first_free = min(self.first_free, start)
        if start == 0:
            self.left_free = length
        if end == BLOCK_BITS:
            self.right_free = length
        if length > self.contig_hint or (length == self.contig_hint and better_aligned(start, self.contig_hint_start)):
            self.contig_hint = length
            self.contig_hint_start = start


def better_aligned(start: int, than: int) -> bool:
    """Whether offset `start` is aligned to a higher power of two; 0 is aligned to all of them."""
    return than != 0 and (start == 0 or lowest(start) > lowest(than))
