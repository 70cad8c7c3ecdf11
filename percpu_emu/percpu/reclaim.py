"""Depopulation, since Linux 5.14: chunks with many empty pages give them back, although areas are left in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.percpu.balance import PCPU_EMPTY_POP_PAGES_HIGH

if TYPE_CHECKING:
    from percpu_emu.percpu.chunk import Chunk
    from percpu_emu.percpu.chunks import Chunks


def should_reclaim(chunks: Chunks, chunk: Chunk) -> bool:
    """Whether a chunk that has just had an area freed is to give pages back (`pcpu_should_reclaim_chunk`).

    The first chunk never is. Any other has to have a quarter of its pages empty, with enough empty pages elsewhere; one
    that has given pages back before, a single one.
    """
    if chunk.index == 0:
        return False
    empty = chunk.nr_empty_pop_pages
    if chunk.isolated:
        return empty > 0
    enough = chunks.nr_empty_pop_pages > PCPU_EMPTY_POP_PAGES_HIGH + empty
    return enough and empty >= chunk.nr_pages // 4


def reclaim_populated(chunks: Chunks) -> None:
    """Give back the empty pages of all chunks that are isolated for it (`pcpu_reclaim_populated`)."""
    while chunks.slots.to_depopulate:
        chunk = chunks.slots.to_depopulate[0]
        if _depopulate(chunks, chunk) and chunk.free_bytes != chunks.layout.unit_size:
            chunks.slots.sideline(chunk)
        else:
            chunks.reintegrate(chunk)


def _depopulate(chunks: Chunks, chunk: Chunk) -> bool:
    """Give back a chunk's empty pages, the last ones first; False where empty pages are short elsewhere.

    Nothing in here changes how many those are: the empty pages of an isolated chunk are not counted among them.
    """
    if not chunk.nr_empty_pop_pages:
        return True
    if chunks.nr_empty_pop_pages < PCPU_EMPTY_POP_PAGES_HIGH:
        return False
    for run in reversed(chunk.empty_populated_runs()):
        chunks.depopulate(chunk, *run)
    return True
