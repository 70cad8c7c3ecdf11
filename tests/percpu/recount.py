"""The truth about a chunk and an allocator, counted from their live areas alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.percpu.block import BLOCK_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.percpu import PerCpuAllocator
    from percpu_emu.percpu.block import Block
    from percpu_emu.percpu.chunk import Chunk

Run = tuple[int, int]


def plain_runs(free: Sequence[bool]) -> list[Run]:
    """(length, start) of every run of free granules, looked for one by one."""
    found, start = [], 0
    for at, is_free in enumerate([*free, False]):
        if not is_free:
            if at > start:
                found.append((at - start, start))
            start = at + 1
    return found


def check_block(block: Block, free: Sequence[bool]) -> None:
    found = plain_runs(free)
    longest = max(found, default=(0, 0))[0]
    assert [block.free >> at & 1 == 1 for at in range(BLOCK_BITS)] == list(free)
    assert block.contig_hint == longest
    assert longest == 0 or (longest, block.contig_hint_start) in found
    assert block.first_free == min((start for _, start in found), default=BLOCK_BITS)
    assert block.left_free == next((length for length, start in found if start == 0), 0)
    assert block.right_free == next((length for length, start in found if start + length == BLOCK_BITS), 0)


def check_chunk(chunk: Chunk, hidden: Sequence[Run] = ()) -> None:
    """Maps and hints agree with the areas; the chunk's own hint may be less than a page short, and never too long."""
    free = [True] * (chunk.nr_pages * BLOCK_BITS)
    for start, length in (*chunk.areas.items(), *hidden):
        assert all(free[start : start + length]), "areas overlap"
        free[start : start + length] = [False] * length
    for page, block in enumerate(chunk.blocks):
        part = free[page * BLOCK_BITS : (page + 1) * BLOCK_BITS]
        check_block(block, part)
        assert chunk.empty >> page & 1 == all(part)
    assert chunk.free_bits == sum(free)
    assert chunk.first_bit == next((at for at, is_free in enumerate(free) if is_free), len(free))
    start, hint = chunk.contig_hint_start, chunk.contig_hint
    assert all(free[start : start + hint])
    assert max(block.contig_hint for block in chunk.blocks) <= hint <= max(plain_runs(free), default=(0, 0))[0]


def check_accounting(allocator: PerCpuAllocator) -> None:
    """Both counts of pages, the slots, and what the operating system says."""
    chunks = allocator._chunks
    made = chunks._made.values()
    assert allocator.nr_populated == allocator.layout.boot_pages + sum(chunk.nr_populated for chunk in made)
    counted = [chunk for chunk in chunks if chunk is not chunks.reserved]
    lists = [*chunks.slots._lists, chunks.slots.to_depopulate]
    assert allocator.nr_empty_pop_pages == sum(chunk.nr_empty_pop_pages for chunk in counted if not chunk.isolated)
    assert allocator.depopulates or not any(chunk.isolated for chunk in counted)
    for chunk in counted:
        slot = next(number for number, of_slot in enumerate(lists) if chunk in of_slot)
        if chunk.isolated:
            assert slot in (len(lists) - 3, len(lists) - 1), "neither sidelined nor to be depopulated"
        else:
            assert slot == chunks.slots._slot[chunk] == chunks.slots._slot_of(chunk)
        in_use = ~chunk.empty & ((1 << chunk.nr_pages) - 1)
        assert in_use & ~chunk.populated == 0, "an area stands on a page that is not there"
    assert sum(map(len, lists)) == len(counted)
    assert allocator._store.held_pages() == allocator.os_pages_expected()
