"""The balance work: wholly free chunks are given back, and a few empty pages kept ready for atomic allocations."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from percpu_emu.shm import PAGE_SIZE, OutOfPages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.percpu.chunk import Chunk
    from percpu_emu.percpu.chunks import Chunks

PCPU_EMPTY_POP_PAGES_LOW: Final = 2  # below this the balance work is due
PCPU_EMPTY_POP_PAGES_HIGH: Final = 4  # up to this it fills


def destroy_free_chunks(chunks: Chunks, *, unpopulated_only: bool = False) -> None:
    """Destroy every wholly free chunk but the first in its slot, or those of them without a page."""
    for chunk in list(islice(chunks.slots.free_chunks, 1, None)):
        if not (unpopulated_only and chunk.populated):
            chunks.destroy(chunk)


def missing_pages(chunks: Chunks) -> int:
    """Empty populated pages that are wanting to the upper mark."""
    return max(PCPU_EMPTY_POP_PAGES_HIGH - chunks.nr_empty_pop_pages, 0)


def top_up(chunks: Chunks, wanted: int) -> None:
    """Populate `wanted` pages, the most packed chunks first, making a chunk where they do not have that many.

    Where no page or no chunk is to be had it stops: the next allocation will say so.
    """
    with suppress(OutOfPages):
        while _populate_packed(chunks, wanted) and chunks.create():
            wanted = missing_pages(chunks)


def _populate_packed(chunks: Chunks, wanted: int) -> int:
    """Populate up to `wanted` pages; returns how many of them were not to be found."""
    for chunk in _most_packed(chunks):
        for start, end in chunk.unpopulated(0, chunk.nr_pages):
            nr = min(end - start, wanted)
            if nr:
                chunks.populate(chunk, start, start + nr)
                wanted -= nr
    return wanted


def _most_packed(chunks: Chunks) -> Iterator[Chunk]:
    """Of every slot whose chunks may have a free page, the first chunk with an unpopulated one."""
    for slot in chunks.slots.roomy(PAGE_SIZE):
        yield from islice((chunk for chunk in slot if chunk.nr_populated < chunk.nr_pages), 1)
