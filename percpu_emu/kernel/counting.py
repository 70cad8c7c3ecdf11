"""`kernel.counted`, compiled: cgroup after cgroup, their areas made and released on pools of the compiled allocator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from percpu_emu.percpu.block import GRANULE
from percpu_emu.percpu.compiled import pool as p
from percpu_emu.percpu.compiled.allocator import alloc, balance, boot, free
from percpu_emu.percpu.compiled.pool import Pool, new_pool
from percpu_emu.shm import PAGE_SIZE
from percpu_emu.shm.compiling import inner, search_entry_point

if TYPE_CHECKING:
    from percpu_emu.kernel.profile import KernelProfile
    from percpu_emu.percpu import AreaLayout

# --- columns of the lines
LENGTH: Final = 0
ALIGN: Final = 1
TIMES: Final = 2
STAGE: Final = 3
RELEASED: Final = 4
ACCOUNTED: Final = 5
LINE_NUMBERS: Final = 6

STAGES: Final = ("mkdir", "charge")
EARLY_LENGTH: Final = 1024 // GRANULE
EARLY_ALIGN: Final = 8 // GRANULE
SPARE_CHUNKS: Final = 16


def count_pages(profile: KernelProfile, layout: AreaLayout, cgroups: int, lag: int | None) -> tuple[int, int, int]:
    """Populated pages of a unit before the first cgroup, after the last, and when every one has been released.

    `lag`: how many removed cgroups wait for their grace period at a time; None for no release.
    """
    lines = _lines(profile, len(layout.cpus_per_node))
    kept = int(lines[lines[:, RELEASED] == 1, TIMES].sum())
    waiting = np.zeros((min(lag or 0, cgroups) + 1, kept, 2), np.int64)
    granules = cgroups * int((lines[:, LENGTH] * lines[:, TIMES]).sum())
    found, room = np.zeros(3, np.int64), granules * GRANULE * 9 // (8 * layout.unit_size) + SPARE_CHUNKS
    while True:
        pools = [new_pool(room, layout.unit_pages, depopulates=profile.percpu.depopulates) for _ in range(2)]
        early = profile.percpu.early // GRANULE
        _boot(pools[0], layout.boot_pages, layout.dynamic_start // GRANULE, early)
        _count(pools[0], pools[1], lines, waiting, cgroups, -1 if lag is None else lag, found)
        if not any(pool.numbers[p.FULL] for pool in pools):
            before, after, settled = (int(pages) for pages in found)
            return before, after, settled
        room *= 2


def _lines(profile: KernelProfile, nr_nodes: int) -> Any:
    lines = np.zeros((len(profile.percpu_area), LINE_NUMBERS), np.int64)
    for row, line in zip(lines, profile.percpu_area, strict=True):
        length, align = -(-line.size // GRANULE), -(-line.align // GRANULE)
        apart = profile.percpu.accounted_apart and line.accounted
        row[:] = length, align, line.times(nr_nodes), STAGES.index(line.stage), line.until == "release-percpu", apart
    return lines


@search_entry_point
def _boot(pool: Pool, boot_pages: int, dynamic_start: int, early: int) -> None:
    page = PAGE_SIZE // GRANULE
    boot(pool, boot_pages - dynamic_start // page, dynamic_start % page)
    pool.numbers[p.ALL_POPULATED] = boot_pages
    while early > 0:
        alloc(pool, min(early, EARLY_LENGTH), EARLY_ALIGN)
        early -= EARLY_LENGTH


@search_entry_point
def _count(first: Pool, second: Pool, lines: Any, waiting: Any, cgroups: int, lag: int, found: Any) -> None:
    _make(first, first, lines, 0, waiting[0], False)  # the parent, right below the root: charged to nobody
    found[0] = _pages(first, second)
    for made in range(cgroups):
        for stage in range(len(STAGES)):
            _make(first, second, lines, stage, waiting[made % len(waiting)], lag >= 0)
        if lag >= 0 and made >= lag:
            _release(first, second, lines, waiting[(made - lag) % len(waiting)])
        if first.numbers[p.FULL] or second.numbers[p.FULL]:
            return
    found[1] = _pages(first, second)
    if lag >= 0:
        for made in range(max(cgroups - lag, 0), cgroups):
            _release(first, second, lines, waiting[made % len(waiting)])
    found[2] = _pages(first, second)


@inner
def _pages(first: Pool, second: Pool) -> int:
    return int(first.numbers[p.ALL_POPULATED] + second.numbers[p.ALL_POPULATED])


@inner
def _make(first: Pool, second: Pool, lines: Any, stage: int, held: Any, keep: bool) -> None:
    """A stage of a cgroup; where the areas that are released later lie is written to `held`."""
    index = 0
    for line in lines:
        for _ in range(line[TIMES]):
            if line[STAGE] == stage:
                pool = second if line[ACCOUNTED] else first
                chunk, start = alloc(pool, line[LENGTH], line[ALIGN])
                if keep and line[RELEASED]:
                    held[index, 0], held[index, 1] = chunk, start
            index += line[RELEASED]
    balance(first)
    balance(second)


@inner
def _release(first: Pool, second: Pool, lines: Any, held: Any) -> None:
    index = 0
    for line in lines:
        if line[RELEASED]:
            for _ in range(line[TIMES]):
                free(second if line[ACCOUNTED] else first, held[index, 0], held[index, 1], line[LENGTH])
                index += 1
    balance(first)
    balance(second)
