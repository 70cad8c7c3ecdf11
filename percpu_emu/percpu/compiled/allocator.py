"""`alloc_percpu` and `free_percpu` on a pool, and its balance work (`percpu.allocator`, `.balance`, `.reclaim`)."""

from __future__ import annotations

from percpu_emu.percpu.balance import PCPU_EMPTY_POP_PAGES_HIGH, PCPU_EMPTY_POP_PAGES_LOW
from percpu_emu.percpu.block import BLOCK_BITS, GRANULE
from percpu_emu.percpu.compiled import pool as p
from percpu_emu.percpu.compiled.chunks import allocate, find_fit, give_back, reset_chunk
from percpu_emu.percpu.compiled.pool import Pool, is_empty
from percpu_emu.percpu.slots import PCPU_SLOT_BASE_SHIFT
from percpu_emu.shm import PAGE_SIZE
from percpu_emu.shm.compiling import inner


@inner
def boot(pool: Pool, nr_pages: int, hidden: int) -> None:
    """Make the first chunk: the dynamic area, with `hidden` granules before it that belong to its neighbour."""
    reset_chunk(pool, 0, nr_pages)
    for page in range(nr_pages):
        populate(pool, 0, page)
    if hidden:
        allocate(pool, 0, 0, hidden)
    changed(pool, 0)


@inner
def alloc(pool: Pool, length: int, align: int) -> tuple[int, int]:
    """Chunk and place of `length` granules. Where there is no room for another chunk, FULL is set."""
    chunk, start = _place(pool, length, align)
    reintegrate(pool, chunk)
    for page in range(start // BLOCK_BITS, (start + length - 1) // BLOCK_BITS + 1):
        if not pool.blocks[chunk, page, p.POPULATED]:
            populate(pool, chunk, page)
    allocate(pool, chunk, start, start + length)
    changed(pool, chunk)
    if pool.numbers[p.ALL_EMPTY_POP_PAGES] < PCPU_EMPTY_POP_PAGES_LOW:
        pool.numbers[p.BALANCE_PENDING] = 1
    return chunk, start


@inner
def _place(pool: Pool, length: int, align: int) -> tuple[int, int]:
    for slot in range(_slot_of_size(length * GRANULE), pool.numbers[p.NR_SLOTS]):
        chunk = pool.heads[slot]
        while chunk >= 0:
            start = find_fit(pool, chunk, length, align)
            if start >= 0:
                return chunk, start
            chunk = pool.chunks[chunk, p.NEXT]
    return create(pool), 0


@inner
def free(pool: Pool, chunk: int, start: int, length: int) -> None:
    """Take an area back."""
    give_back(pool, chunk, start, start + length)
    changed(pool, chunk)
    free_list = pool.numbers[p.NR_SLOTS] - 1
    if pool.chunks[chunk, p.LIST] == free_list:
        if pool.heads[free_list] != pool.tails[free_list]:
            pool.numbers[p.BALANCE_PENDING] = 1
    elif pool.numbers[p.DEPOPULATES] and _should_reclaim(pool, chunk):
        _take_off(pool, chunk)
        pool.chunks[chunk, p.ISOLATED] = 1
        _put_first(pool, chunk, pool.numbers[p.NR_SLOTS])
        changed(pool, chunk)
        pool.numbers[p.BALANCE_PENDING] = 1


@inner
def balance(pool: Pool) -> None:
    """The balance work, if it is due."""
    if not pool.numbers[p.BALANCE_PENDING]:
        return
    pool.numbers[p.BALANCE_PENDING] = 0
    _destroy_free_chunks(pool, False)
    _reclaim_populated(pool)
    _top_up(pool, max(PCPU_EMPTY_POP_PAGES_HIGH - pool.numbers[p.ALL_EMPTY_POP_PAGES], 0))
    if pool.numbers[p.DEPOPULATES]:
        _destroy_free_chunks(pool, True)


# --- chunks made and destroyed, pages that come and go


@inner
def create(pool: Pool) -> int:
    """A wholly free chunk without a page; where there is no room for it, the last one once more, and FULL is set."""
    chunk = pool.numbers[p.UNUSED]
    while chunk < len(pool.chunks) and pool.chunks[chunk, p.IN_USE]:
        chunk += 1
    if chunk == len(pool.chunks):
        pool.numbers[p.FULL] = 1
        chunk -= 1
        _take_off(pool, chunk)
    pool.numbers[p.UNUSED] = chunk + 1
    reset_chunk(pool, chunk, pool.numbers[p.UNIT_PAGES])
    changed(pool, chunk)
    return int(chunk)


@inner
def _destroy_free_chunks(pool: Pool, unpopulated_only: bool) -> None:
    free_list = pool.numbers[p.NR_SLOTS] - 1
    chunk = pool.heads[free_list]
    if chunk >= 0:
        chunk = pool.chunks[chunk, p.NEXT]
    while chunk >= 0:
        after = pool.chunks[chunk, p.NEXT]
        if not (unpopulated_only and pool.chunks[chunk, p.NR_POPULATED]):
            pool.numbers[p.ALL_POPULATED] -= pool.chunks[chunk, p.NR_POPULATED]
            pool.numbers[p.ALL_EMPTY_POP_PAGES] -= pool.chunks[chunk, p.COUNTED]
            pool.chunks[chunk, p.IN_USE] = 0
            pool.numbers[p.UNUSED] = min(pool.numbers[p.UNUSED], chunk)
            _take_off(pool, chunk)
        chunk = after


@inner
def populate(pool: Pool, chunk: int, page: int) -> None:
    """Back a page; the caller says that the chunk has changed."""
    pool.blocks[chunk, page, p.POPULATED] = 1
    pool.chunks[chunk, p.NR_POPULATED] += 1
    pool.chunks[chunk, p.NR_EMPTY_POP_PAGES] += is_empty(pool, chunk, page)
    pool.numbers[p.ALL_POPULATED] += 1


@inner
def _top_up(pool: Pool, wanted: int) -> None:
    while _populate_packed(pool, wanted):
        create(pool)
        wanted = max(PCPU_EMPTY_POP_PAGES_HIGH - pool.numbers[p.ALL_EMPTY_POP_PAGES], 0)


@inner
def _populate_packed(pool: Pool, wanted: int) -> int:
    for slot in range(_slot_of_size(PAGE_SIZE), pool.numbers[p.NR_SLOTS]):
        chunk = pool.heads[slot]
        while chunk >= 0 and pool.chunks[chunk, p.NR_POPULATED] == pool.chunks[chunk, p.NR_PAGES]:
            chunk = pool.chunks[chunk, p.NEXT]
        if chunk >= 0:
            for page in range(pool.chunks[chunk, p.NR_PAGES]):
                if wanted and not pool.blocks[chunk, page, p.POPULATED]:
                    populate(pool, chunk, page)
                    wanted -= 1
            changed(pool, chunk)
    return wanted


@inner
def _should_reclaim(pool: Pool, chunk: int) -> bool:
    if chunk == 0:
        return False
    empty = pool.chunks[chunk, p.NR_EMPTY_POP_PAGES]
    if pool.chunks[chunk, p.ISOLATED]:
        return bool(empty > 0)
    enough = pool.numbers[p.ALL_EMPTY_POP_PAGES] > PCPU_EMPTY_POP_PAGES_HIGH + empty
    return bool(enough and empty >= pool.chunks[chunk, p.NR_PAGES] // 4)


@inner
def _reclaim_populated(pool: Pool) -> None:
    slots = pool.numbers[p.NR_SLOTS]
    while pool.heads[slots] >= 0:
        chunk = pool.heads[slots]
        numbers = pool.chunks[chunk]
        done = numbers[p.NR_EMPTY_POP_PAGES] == 0
        if not done and pool.numbers[p.ALL_EMPTY_POP_PAGES] >= PCPU_EMPTY_POP_PAGES_HIGH:
            _depopulate(pool, chunk)
            done = True
        if done and numbers[p.FREE_BITS] * GRANULE != pool.numbers[p.UNIT_PAGES] * PAGE_SIZE:
            _take_off(pool, chunk)
            _put_last(pool, chunk, slots - 2)
        else:
            reintegrate(pool, chunk)


@inner
def _depopulate(pool: Pool, chunk: int) -> None:
    for page in range(pool.chunks[chunk, p.NR_PAGES]):
        if pool.blocks[chunk, page, p.POPULATED] and is_empty(pool, chunk, page):
            pool.blocks[chunk, page, p.POPULATED] = 0
            pool.chunks[chunk, p.NR_POPULATED] -= 1
            pool.chunks[chunk, p.NR_EMPTY_POP_PAGES] -= 1
            pool.numbers[p.ALL_POPULATED] -= 1


# --- lists


@inner
def changed(pool: Pool, chunk: int) -> None:
    """Bring lists and count of empty populated pages up to date."""
    numbers = pool.chunks[chunk]
    empty = 0
    if not numbers[p.ISOLATED]:
        _put_where_it_belongs(pool, chunk)
        empty = numbers[p.NR_EMPTY_POP_PAGES]
    pool.numbers[p.ALL_EMPTY_POP_PAGES] += empty - numbers[p.COUNTED]
    numbers[p.COUNTED] = empty


@inner
def _put_where_it_belongs(pool: Pool, chunk: int) -> None:
    old, new = pool.chunks[chunk, p.LIST], _slot_of(pool, chunk)
    if old == new:
        return
    _take_off(pool, chunk)
    if old < new:
        _put_first(pool, chunk, new)
    else:
        _put_last(pool, chunk, new)


@inner
def reintegrate(pool: Pool, chunk: int) -> None:
    """An isolated chunk serves as any other one again."""
    if pool.chunks[chunk, p.ISOLATED]:
        _take_off(pool, chunk)
        pool.chunks[chunk, p.ISOLATED] = 0
        changed(pool, chunk)


@inner
def _slot_of(pool: Pool, chunk: int) -> int:
    free_bytes = pool.chunks[chunk, p.FREE_BITS] * GRANULE
    if free_bytes == pool.numbers[p.UNIT_PAGES] * PAGE_SIZE:
        return int(pool.numbers[p.NR_SLOTS] - 1)
    return _slot_of_size(free_bytes) if pool.chunks[chunk, p.HINT] else 0


@inner
def _slot_of_size(size: int) -> int:
    bits = 0
    while size:
        size >>= 1
        bits += 1
    return max(bits - PCPU_SLOT_BASE_SHIFT + 2, 1)


@inner
def _take_off(pool: Pool, chunk: int) -> None:
    numbers = pool.chunks[chunk]
    of = numbers[p.LIST]
    if of < 0:
        return
    before, after = numbers[p.PREVIOUS], numbers[p.NEXT]
    if before >= 0:
        pool.chunks[before, p.NEXT] = after
    else:
        pool.heads[of] = after
    if after >= 0:
        pool.chunks[after, p.PREVIOUS] = before
    else:
        pool.tails[of] = before
    numbers[p.LIST] = -1


@inner
def _put_first(pool: Pool, chunk: int, of: int) -> None:
    numbers = pool.chunks[chunk]
    numbers[p.LIST], numbers[p.PREVIOUS], numbers[p.NEXT] = of, -1, pool.heads[of]
    if pool.heads[of] >= 0:
        pool.chunks[pool.heads[of], p.PREVIOUS] = chunk
    else:
        pool.tails[of] = chunk
    pool.heads[of] = chunk


@inner
def _put_last(pool: Pool, chunk: int, of: int) -> None:
    numbers = pool.chunks[chunk]
    numbers[p.LIST], numbers[p.PREVIOUS], numbers[p.NEXT] = of, pool.tails[of], -1
    if pool.tails[of] >= 0:
        pool.chunks[pool.tails[of], p.NEXT] = chunk
    else:
        pool.heads[of] = chunk
    pool.tails[of] = chunk
