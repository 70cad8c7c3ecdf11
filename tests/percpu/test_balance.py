"""The balance work: free chunks go, a few empty pages stay ready."""

from __future__ import annotations

import pytest

from percpu_emu.percpu import AreaLayout, CountedPages, PerCpuAllocator, PerCpuExhausted
from percpu_emu.percpu.layout import KB
from percpu_emu.shm import OutOfPages

from .recount import check_accounting

LAYOUT = AreaLayout((4,), static_size=20 * KB)


def booted(max_chunks: int = 100) -> PerCpuAllocator:
    """An allocator whose dynamic area is full."""
    store = CountedPages(LAYOUT)
    store.max_chunks = max_chunks
    percpu = PerCpuAllocator(LAYOUT, store)
    percpu.alloc(28 * KB)
    return percpu


def test_fewer_than_two_empty_pages_make_the_balance_work_due_and_it_fills_up_to_four() -> None:
    percpu = booted()
    assert (percpu.nr_empty_pop_pages, percpu.balance_pending) == (0, True)
    percpu.balance()
    assert (percpu.nr_empty_pop_pages, percpu.balance_pending) == (4, False)
    percpu.alloc(2 * 4 * KB)
    assert (percpu.nr_empty_pop_pages, percpu.balance_pending) == (2, False)
    percpu.alloc(4)
    assert (percpu.nr_empty_pop_pages, percpu.balance_pending) == (1, True)


def test_empty_pages_stay_between_two_and_four_while_areas_come() -> None:
    percpu = booted()
    for _ in range(2000):
        percpu.alloc(952)
        if percpu.balance_pending:
            percpu.balance()
        assert 2 <= percpu.nr_empty_pop_pages <= 4
    check_accounting(percpu)


def test_all_free_chunks_but_one_are_destroyed() -> None:
    percpu = booted()
    areas = [percpu.alloc(32 * KB) for _ in range(5 * LAYOUT.unit_size // (32 * KB))]
    full = percpu.nr_populated
    percpu.balance_pending = False
    for p in areas:
        percpu.free(p)
    assert percpu.nr_populated == full
    assert percpu.balance_pending
    percpu.balance()
    assert percpu.nr_populated == LAYOUT.boot_pages + LAYOUT.unit_pages
    check_accounting(percpu)


def test_a_single_free_chunk_is_kept_with_its_pages() -> None:
    percpu = booted()
    p = percpu.alloc(32 * KB)
    percpu.balance_pending = False
    percpu.free(p)
    assert not percpu.balance_pending
    percpu.balance()
    assert percpu.nr_populated == LAYOUT.boot_pages + 8


def test_a_failed_atomic_area_gets_four_more_pages_however_many_are_empty() -> None:
    percpu = booted()
    percpu.balance()
    with pytest.raises(PerCpuExhausted):
        percpu.alloc(5 * 4 * KB, atomic=True)
    assert percpu.balance_pending
    percpu.balance()
    assert percpu.nr_empty_pop_pages == 8
    percpu.alloc(5 * 4 * KB, atomic=True)
    percpu.balance()
    assert percpu.nr_empty_pop_pages == 4


def test_the_most_packed_chunk_with_room_for_a_page_is_filled_first() -> None:
    percpu = booted()
    for _ in range(LAYOUT.unit_pages // 8 - 1):
        percpu.alloc(32 * KB)
    percpu.alloc(4 * KB)
    percpu.alloc(32 * KB)  # no room for it in the 7 pages that are left of chunk 1
    percpu.balance()
    populated = {chunk.index: chunk.nr_populated for chunk in percpu._chunks}
    assert (populated[1], populated[2]) == (LAYOUT.unit_pages - 7 + 4, 8)


def test_without_a_chunk_to_populate_the_balance_work_gives_up_quietly() -> None:
    percpu = booted(max_chunks=1)
    percpu.balance()
    assert percpu.nr_empty_pop_pages == 0
    check_accounting(percpu)


def test_without_pages_the_balance_work_gives_up_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    percpu = booted()

    def populate(*_: int) -> None:
        raise OutOfPages("none left")

    monkeypatch.setattr(percpu._store, "populate", populate)
    percpu.balance()
    assert percpu.nr_empty_pop_pages == 0
    check_accounting(percpu)


def fragmented(*, depopulates: bool) -> tuple[PerCpuAllocator, list[int]]:
    """Three chunks full of areas of a page, of which every eighth is kept; and those that are kept."""
    percpu = PerCpuAllocator(LAYOUT, CountedPages(LAYOUT), depopulates=depopulates)
    percpu.alloc(28 * KB)
    areas = [percpu.alloc(4 * KB) for _ in range(3 * LAYOUT.unit_pages)]
    percpu.balance()
    for p in [p for number, p in enumerate(areas) if number % 8]:
        percpu.free(p)
        if percpu.balance_pending:
            percpu.balance()
    return percpu, areas[::8]


def test_empty_pages_of_chunks_in_use_stay_unless_the_kernel_depopulates() -> None:
    before, _ = fragmented(depopulates=False)
    assert before.nr_populated >= LAYOUT.boot_pages + 3 * LAYOUT.unit_pages
    after, kept = fragmented(depopulates=True)
    in_use = LAYOUT.boot_pages + len(kept)
    assert in_use <= after.nr_populated <= in_use + LAYOUT.unit_pages  # one chunk keeps the system's empty pages
    assert after.nr_empty_pop_pages >= 4
    check_accounting(after)


def test_a_sidelined_chunk_serves_again_before_a_new_one_is_made() -> None:
    percpu, _ = fragmented(depopulates=True)
    sidelined = [chunk for chunk in percpu._chunks if chunk.isolated]
    chunks = len(list(percpu._chunks))
    assert sidelined
    for _ in range(LAYOUT.unit_pages):
        percpu.alloc(4 * KB)
    assert len(list(percpu._chunks)) == chunks
    assert any(not chunk.isolated for chunk in sidelined)
    check_accounting(percpu)


def test_a_page_freed_in_a_sidelined_chunk_goes_at_once() -> None:
    percpu, kept = fragmented(depopulates=True)
    p = next(p for p in kept if (chunk := percpu._chunks.serving(p)) and chunk.isolated)
    pages = percpu.nr_populated
    percpu.free(p)
    assert percpu.balance_pending
    percpu.balance()
    assert percpu.nr_populated == pages - 1
    check_accounting(percpu)


def test_no_page_goes_while_empty_pages_are_short_elsewhere() -> None:
    percpu = PerCpuAllocator(LAYOUT, CountedPages(LAYOUT), depopulates=True)
    percpu.alloc(28 * KB)
    areas = [percpu.alloc(4 * KB) for _ in range(LAYOUT.unit_pages)]
    pages = percpu.nr_populated
    for p in areas[1:]:
        percpu.free(p)
    assert percpu.nr_populated == pages
    assert not any(chunk.isolated for chunk in percpu._chunks)
