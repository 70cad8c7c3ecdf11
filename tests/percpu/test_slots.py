"""The order in which chunks are looked at."""

from __future__ import annotations

from percpu_emu.percpu.block import BLOCK_BITS
from percpu_emu.percpu.chunk import Chunk
from percpu_emu.percpu.slots import Slots
from percpu_emu.shm import PAGE_SIZE

PAGES = 4


def chunk_with(slots: Slots, *areas: int) -> Chunk:
    chunk, start = Chunk(1, 0, PAGES), 0
    slots.place(chunk)
    for length in areas:
        chunk.allocate(start, length)
        start += length
        slots.place(chunk)
    return chunk


def order(slots: Slots, size: int) -> list[Chunk]:
    return [chunk for chunks in slots.roomy(size) for chunk in chunks]


def test_the_fullest_chunk_that_may_do_comes_first() -> None:
    slots = Slots(PAGES * PAGE_SIZE)
    free, half, packed = (chunk_with(slots, *areas) for areas in ((), (2000,), (4000,)))
    assert order(slots, 8) == [packed, half, free]
    assert order(slots, 4096) == [half, free]
    assert list(slots.free_chunks) == [free]


def test_a_chunk_that_becomes_fuller_goes_last_and_one_that_becomes_emptier_first() -> None:
    slots = Slots(PAGES * PAGE_SIZE)
    one, two = chunk_with(slots, 4000), chunk_with(slots, 4000)
    assert order(slots, 8) == [one, two]
    two.free(0)
    slots.place(two)
    one.free(0)
    slots.place(one)
    assert order(slots, 8) == [one, two]


def test_a_full_chunk_is_not_looked_at() -> None:
    slots = Slots(PAGES * PAGE_SIZE)
    chunk_with(slots, PAGES * BLOCK_BITS)
    assert order(slots, 4) == []


def test_a_destroyed_chunk_is_forgotten() -> None:
    slots = Slots(PAGES * PAGE_SIZE)
    slots.remove(chunk_with(slots))
    assert order(slots, 4) == []
