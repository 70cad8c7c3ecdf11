"""An allocator's state in arrays, and the blocks of its chunks (`percpu.block`)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from percpu_emu.percpu.block import BLOCK_BITS
from percpu_emu.percpu.compiled.bits import BLOCK_WORDS, find_run, flip_range, next_of, zero_below
from percpu_emu.percpu.slots import slot_of_size
from percpu_emu.shm import PAGE_SIZE
from percpu_emu.shm.compiling import inner

# --- columns of `Pool.blocks`
FIRST_FREE: Final = 0
CONTIG_HINT: Final = 1
CONTIG_HINT_START: Final = 2
LEFT_FREE: Final = 3
RIGHT_FREE: Final = 4
POPULATED: Final = 5
BLOCK_NUMBERS: Final = 6

# --- columns of `Pool.chunks`
IN_USE: Final = 0
NR_PAGES: Final = 1
FREE_BITS: Final = 2
HINT: Final = 3
HINT_START: Final = 4
FIRST_BIT: Final = 5
ISOLATED: Final = 6
NR_POPULATED: Final = 7
NR_EMPTY_POP_PAGES: Final = 8
COUNTED: Final = 9  # empty populated pages of it that the pool counts
LIST: Final = 10  # -1 for none
NEXT: Final = 11
PREVIOUS: Final = 12
PAGES_IN_USE: Final = 13  # from this page on nothing is allocated
CHUNK_NUMBERS: Final = 14

# --- `Pool.numbers`
ALL_POPULATED: Final = 0
ALL_EMPTY_POP_PAGES: Final = 1
BALANCE_PENDING: Final = 2
DEPOPULATES: Final = 3
UNIT_PAGES: Final = 4
NR_SLOTS: Final = 5
UNUSED: Final = 6  # no chunk with a lower number is unused
FULL: Final = 7  # 1: another chunk was wanted than there is room for, and nothing that came after counts
POOL_NUMBERS: Final = 8


class Pool(NamedTuple):
    """Room for chunks, with everything that the allocator knows of them. Chunk 0 is the first chunk."""

    maps: Any  # int64[chunks, pages, BLOCK_WORDS]
    blocks: Any  # int64[chunks, pages, BLOCK_NUMBERS]
    chunks: Any  # int64[chunks, CHUNK_NUMBERS]
    heads: Any  # int64[slots + 1]: the first chunk of each list, -1 for none; the last list is to_depopulate
    tails: Any  # int64[slots + 1]
    numbers: Any  # int64[POOL_NUMBERS]


def new_pool(room: int, unit_pages: int, *, depopulates: bool) -> Pool:
    """A pool without a chunk; `room`: how many it can have."""
    slots = slot_of_size(unit_pages * PAGE_SIZE) + 3
    numbers = np.zeros(POOL_NUMBERS, np.int64)
    numbers[DEPOPULATES], numbers[UNIT_PAGES], numbers[NR_SLOTS], numbers[UNUSED] = depopulates, unit_pages, slots, 1
    return Pool(
        np.zeros((room, unit_pages, BLOCK_WORDS), np.int64),
        np.zeros((room, unit_pages, BLOCK_NUMBERS), np.int64),
        np.zeros((room, CHUNK_NUMBERS), np.int64),
        np.full(slots + 1, -1, np.int64),
        np.full(slots + 1, -1, np.int64),
        numbers,
    )


@inner
def reset_block(pool: Pool, chunk: int, page: int) -> None:
    """All free, without a page."""
    pool.maps[chunk, page, :] = -1
    block = pool.blocks[chunk, page]
    block[:] = 0
    block[CONTIG_HINT] = block[LEFT_FREE] = block[RIGHT_FREE] = BLOCK_BITS


@inner
def is_empty(pool: Pool, chunk: int, page: int) -> bool:
    """Whether nothing is allocated in a page."""
    return bool(pool.blocks[chunk, page, CONTIG_HINT] == BLOCK_BITS)


@inner
def find(pool: Pool, chunk: int, page: int, length: int, align: int) -> int:
    """The first aligned place in a block."""
    return find_run(pool.maps[chunk, page], length, align)


@inner
def take(pool: Pool, chunk: int, page: int, start: int, end: int) -> None:
    """Allocate a part of a block."""
    words, block = pool.maps[chunk, page], pool.blocks[chunk, page]
    flip_range(words, start, end)
    if start == block[FIRST_FREE]:
        block[FIRST_FREE] = next_of(words, 0, 0)
    hint = block[CONTIG_HINT_START]
    if hint <= start < hint + block[CONTIG_HINT]:
        block[CONTIG_HINT] = block[LEFT_FREE] = block[RIGHT_FREE] = 0
        first = next_of(words, 0, 0)
        while first < BLOCK_BITS:
            last = next_of(words, first, -1)
            _offer(block, first, last)
            first = next_of(words, last, 0)
    else:
        block[LEFT_FREE] = min(block[LEFT_FREE], start)
        block[RIGHT_FREE] = min(block[RIGHT_FREE], BLOCK_BITS - end)


@inner
def give(pool: Pool, chunk: int, page: int, start: int, end: int) -> tuple[int, int]:
    """Free a part of a block; returns the free run that it now is part of."""
    words = pool.maps[chunk, page]
    flip_range(words, start, end)
    first = zero_below(words, start) + 1
    last = next_of(words, end, -1)
    _offer(pool.blocks[chunk, page], first, last)
    return first, last


@inner
def _offer(block: Any, start: int, end: int) -> None:
    length = end - start
    block[FIRST_FREE] = min(block[FIRST_FREE], start)
    if start == 0:
        block[LEFT_FREE] = length
    if end == BLOCK_BITS:
        block[RIGHT_FREE] = length
    hint = block[CONTIG_HINT]
    if length > hint or (length == hint and better_aligned(start, block[CONTIG_HINT_START])):
        block[CONTIG_HINT] = length
        block[CONTIG_HINT_START] = start


@inner
def better_aligned(start: int, than: int) -> bool:
    """Whether offset `start` is aligned to a higher power of two; 0 is aligned to all of them."""
    return than != 0 and (start == 0 or (start & -start) > (than & -than))
