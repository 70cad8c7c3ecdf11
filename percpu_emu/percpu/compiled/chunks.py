"""Chunks of a pool: the search for a place, and what is taken and given back (`percpu.chunk`)."""

from __future__ import annotations

from percpu_emu.percpu.block import BLOCK_BITS
from percpu_emu.percpu.compiled import pool as p
from percpu_emu.percpu.compiled.pool import Pool, better_aligned, find, give, is_empty, take
from percpu_emu.shm.compiling import inner


@inner
def reset_chunk(pool: Pool, chunk: int, nr_pages: int) -> None:
    """Wholly free, without a page, on no list."""
    for page in range(nr_pages):
        p.reset_block(pool, chunk, page)
    numbers = pool.chunks[chunk]
    numbers[:] = 0
    numbers[p.IN_USE] = 1
    numbers[p.NR_PAGES] = nr_pages
    numbers[p.FREE_BITS] = numbers[p.HINT] = nr_pages * BLOCK_BITS
    numbers[p.LIST] = -1


@inner
def find_fit(pool: Pool, chunk: int, length: int, align: int) -> int:
    """The place the kernel gives `length` granules; -1 if none."""
    numbers, blocks = pool.chunks[chunk], pool.blocks[chunk]
    if -numbers[p.HINT_START] % align + length > numbers[p.HINT]:
        return -1
    run = run_start = 0
    for page in range(numbers[p.FIRST_BIT] // BLOCK_BITS, numbers[p.NR_PAGES]):
        block = blocks[page]
        if run:
            run += block[p.LEFT_FREE]
            if run >= length:
                return int(run_start)
            if block[p.LEFT_FREE] == BLOCK_BITS:
                continue
        if -block[p.CONTIG_HINT_START] % align + length <= block[p.CONTIG_HINT]:
            return page * BLOCK_BITS + find(pool, chunk, page, length, align)
        offset = -(-(BLOCK_BITS - block[p.RIGHT_FREE]) // align) * align
        run, run_start = BLOCK_BITS - offset, page * BLOCK_BITS + offset
        if run >= length:
            return int(run_start)
    return -1


@inner
def allocate(pool: Pool, chunk: int, start: int, end: int) -> None:
    """Take free granules."""
    numbers = pool.chunks[chunk]
    numbers[p.FREE_BITS] -= end - start
    for page in range(start // BLOCK_BITS, (end - 1) // BLOCK_BITS + 1):
        base = page * BLOCK_BITS
        if is_empty(pool, chunk, page) and pool.blocks[chunk, page, p.POPULATED]:
            numbers[p.NR_EMPTY_POP_PAGES] -= 1
        take(pool, chunk, page, max(start - base, 0), min(end - base, BLOCK_BITS))
    numbers[p.PAGES_IN_USE] = max(numbers[p.PAGES_IN_USE], (end - 1) // BLOCK_BITS + 1)
    if start == numbers[p.FIRST_BIT]:
        numbers[p.FIRST_BIT] = _next_free(pool, chunk, end)
    if start < numbers[p.HINT_START] + numbers[p.HINT] and numbers[p.HINT_START] < end:
        _refresh_hint(pool, chunk)


@inner
def give_back(pool: Pool, chunk: int, start: int, end: int) -> None:
    """Free granules; their pages stay."""
    numbers = pool.chunks[chunk]
    numbers[p.FREE_BITS] += end - start
    numbers[p.FIRST_BIT] = min(numbers[p.FIRST_BIT], start)
    page, last_page = start // BLOCK_BITS, (end - 1) // BLOCK_BITS
    several = page < last_page
    run_start, run_end = _give_page(pool, chunk, page, start, end)
    while page < last_page:
        page += 1
        _give_page(pool, chunk, page, start, end)
    while numbers[p.PAGES_IN_USE] and is_empty(pool, chunk, numbers[p.PAGES_IN_USE] - 1):
        numbers[p.PAGES_IN_USE] -= 1
    if several or run_end - run_start == BLOCK_BITS:
        _refresh_hint(pool, chunk)
    else:
        _offer(pool, chunk, run_start, run_end - run_start)


@inner
def _give_page(pool: Pool, chunk: int, page: int, start: int, end: int) -> tuple[int, int]:
    base = page * BLOCK_BITS
    first, last = give(pool, chunk, page, max(start - base, 0), min(end - base, BLOCK_BITS))
    if is_empty(pool, chunk, page) and pool.blocks[chunk, page, p.POPULATED]:
        pool.chunks[chunk, p.NR_EMPTY_POP_PAGES] += 1
    return base + first, base + last


@inner
def _next_free(pool: Pool, chunk: int, bit: int) -> int:
    nr_pages = pool.chunks[chunk, p.NR_PAGES]
    for page in range(bit // BLOCK_BITS, nr_pages):
        if pool.blocks[chunk, page, p.CONTIG_HINT]:
            return int(page * BLOCK_BITS + pool.blocks[chunk, page, p.FIRST_FREE])
    return int(nr_pages * BLOCK_BITS)


@inner
def _refresh_hint(pool: Pool, chunk: int) -> None:
    numbers = pool.chunks[chunk]
    numbers[p.HINT] = 0
    in_use = numbers[p.PAGES_IN_USE]
    run = 0
    for page in range(numbers[p.FIRST_BIT] // BLOCK_BITS, in_use):
        block = pool.blocks[chunk, page]
        base = page * BLOCK_BITS
        if run:
            run += block[p.LEFT_FREE]
            if block[p.LEFT_FREE] == BLOCK_BITS:
                continue
            _offer(pool, chunk, base + block[p.LEFT_FREE] - run, run)
        if block[p.CONTIG_HINT] >= numbers[p.HINT]:
            _offer(pool, chunk, base + block[p.CONTIG_HINT_START], block[p.CONTIG_HINT])
        run = block[p.RIGHT_FREE]
    start = in_use * BLOCK_BITS - run
    _offer(pool, chunk, start, numbers[p.NR_PAGES] * BLOCK_BITS - start)


@inner
def _offer(pool: Pool, chunk: int, start: int, length: int) -> None:
    numbers = pool.chunks[chunk]
    hint = numbers[p.HINT]
    if length > hint or (length == hint and better_aligned(start, numbers[p.HINT_START])):
        numbers[p.HINT] = length
        numbers[p.HINT_START] = start
