"""Areas handed out and taken back, refused and rolled back."""

from __future__ import annotations

import re

import pytest

from percpu_emu.percpu import NULL, AreaLayout, BadFree, CountedPages, PerCpuAllocator, PerCpuExhausted, SharedPages
from percpu_emu.percpu.layout import KB
from percpu_emu.shm import OutOfPages

from .recount import check_accounting

LAYOUT = AreaLayout((3, 2), static_size=4 * KB, atom_size=256 * KB)  # units of 64 kB and unused ones between nodes
STATIC, RESERVED, DYNAMIC = 0, 4 * KB, 12 * KB


def allocator(max_chunks: int = 3) -> PerCpuAllocator:
    store = CountedPages(LAYOUT)
    store.max_chunks = max_chunks
    return PerCpuAllocator(LAYOUT, store)


def fill(percpu: PerCpuAllocator, size: int = 32 * KB) -> list[int]:
    areas = []
    while True:
        try:
            areas.append(percpu.alloc(size))
        except PerCpuExhausted:
            return areas


def test_the_first_area_stands_at_the_start_of_the_dynamic_area() -> None:
    percpu = allocator()
    assert percpu.alloc(952) == DYNAMIC
    assert percpu.alloc(240) == DYNAMIC + 952
    assert percpu.alloc(128, align=64) == DYNAMIC + 1216
    assert percpu.alloc(24) == DYNAMIC + 1192


def test_a_size_is_rounded_up_to_four_bytes() -> None:
    percpu = allocator()
    p = percpu.alloc(5, align=1)
    assert percpu.size_of(p) == 8
    assert percpu.alloc(4, align=1) == p + 8


def test_live_areas_are_listed_by_address() -> None:
    percpu = allocator()
    first, second, third = percpu.alloc(8), percpu.alloc(64, reserved=True), percpu.alloc(32 * KB)
    assert list(percpu.live()) == [(second, 64), (first, 8), (third, 32 * KB)]
    percpu.free(first)
    assert list(percpu.live()) == [(second, 64), (third, 32 * KB)]


@pytest.mark.parametrize("size", [0, -4, 32 * KB + 1])
def test_a_size_that_no_unit_can_be_asked_for_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size {size}: allowed are 1 to 32768"):
        allocator().alloc(size)


@pytest.mark.parametrize("align", [0, 3, 8192])
def test_an_alignment_that_is_no_power_of_two_up_to_a_page_is_refused(align: int) -> None:
    with pytest.raises(ValueError, match=f"alignment {align}: allowed are powers of two"):
        allocator().alloc(8, align)


def test_a_double_free_is_refused_by_name() -> None:
    percpu = allocator()
    p = percpu.alloc(952)
    percpu.free(p)
    with pytest.raises(BadFree, match=re.escape(f"percpu pointer {p:#x}: freed already")):
        percpu.free(p)


def test_a_free_inside_an_area_is_refused_with_the_area() -> None:
    percpu = allocator()
    p = percpu.alloc(952)
    for inside in (1, 4, 948):
        with pytest.raises(BadFree, match=re.escape(f"inside the area {p:#x}..+952")):
            percpu.free(p + inside)
    assert list(percpu.live()) == [(p, 952)]


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (8, "in the static area"),
        (RESERVED, "never allocated"),
        (DYNAMIC + 4 * KB, "never allocated"),
        (DYNAMIC + 1, "never allocated"),
        (LAYOUT.unit_size, "never allocated"),  # the same place in another unit is no percpu pointer
        (LAYOUT.chunk_size, "in no chunk"),
        (-8, "in no chunk"),
        (1 << 60, "in no chunk"),
    ],
)
def test_a_wild_free_is_refused_with_what_stands_there(p: int, said: str) -> None:
    with pytest.raises(BadFree, match=said):
        allocator().free(p)


def test_freeing_null_does_nothing_as_in_the_kernel() -> None:
    percpu = allocator()
    percpu.free(NULL)
    check_accounting(percpu)


def test_the_size_of_a_pointer_that_is_not_live_is_refused() -> None:
    percpu = allocator()
    p = percpu.alloc(8)
    percpu.free(p)
    with pytest.raises(ValueError, match="freed already"):
        percpu.size_of(p)


def test_a_reused_place_is_no_longer_freed_already() -> None:
    percpu = allocator()
    percpu.free(percpu.alloc(8))
    p = percpu.alloc(16)
    percpu.free(p)
    percpu.alloc(64)
    with pytest.raises(BadFree, match="inside the area"):
        percpu.free(p + 8)


def test_reserved_areas_come_from_the_reserve_until_it_is_full() -> None:
    percpu = allocator()
    assert percpu.alloc(8 * KB, reserved=True) == RESERVED
    with pytest.raises(PerCpuExhausted, match="reserved area"):
        percpu.alloc(4, reserved=True)
    assert percpu.alloc(4) == DYNAMIC


def test_without_a_reserve_a_reserved_area_is_like_any_other() -> None:
    layout = AreaLayout((2,), static_size=4 * KB, reserved_size=0)
    assert PerCpuAllocator(layout, CountedPages(layout)).alloc(8, reserved=True) == 4 * KB


def test_pages_are_counted_for_all_units_and_backed_for_possible_cpus() -> None:
    percpu = allocator()
    boot = 1 + 2 + 7
    assert LAYOUT.nr_units == 6
    assert (percpu.nr_populated, percpu.populated_pages(), percpu.os_pages_expected()) == (boot, boot * 6, boot * 5)
    percpu.alloc(28 * KB)
    percpu.alloc(4097)
    assert percpu.nr_populated == boot + 2
    assert percpu.percpu_kb == (boot + 2) * 6 * 4
    check_accounting(percpu)


def test_a_freed_area_leaves_its_pages() -> None:
    percpu = allocator()
    areas = fill(percpu)
    full = percpu.nr_populated
    for p in areas:
        percpu.free(p)
    assert percpu.nr_populated == full
    check_accounting(percpu)


def test_an_atomic_area_stands_on_pages_that_are_there() -> None:
    percpu = allocator()
    percpu.alloc(28 * KB)
    with pytest.raises(PerCpuExhausted, match="populated pages"):
        percpu.alloc(8, atomic=True)
    assert percpu.balance_pending
    percpu.balance()
    before = percpu.nr_populated
    assert percpu.alloc(8, atomic=True)
    assert percpu.nr_populated == before


def test_running_out_of_chunks_changes_nothing() -> None:
    percpu = allocator(max_chunks=2)
    fill(percpu)
    before = (percpu.nr_populated, list(percpu.live()))
    with pytest.raises(PerCpuExhausted, match="2 chunks"):
        percpu.alloc(32 * KB)
    assert (percpu.nr_populated, list(percpu.live())) == before
    check_accounting(percpu)


def test_the_place_of_a_destroyed_chunk_is_used_again_lowest_first() -> None:
    percpu = allocator(max_chunks=5)
    areas = fill(percpu)
    for p in areas:
        percpu.free(p)
    percpu.balance()
    assert {p // LAYOUT.chunk_size for p in fill(percpu)} == {1, 2, 3, 4}
    check_accounting(percpu)


@pytest.mark.parametrize("failing", range(1, 11))
def test_a_page_that_is_not_to_be_had_rolls_the_whole_area_back(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """The area lies on two runs of unpopulated pages of five CPUs; any of the ten may be the one that is missing."""
    store = SharedPages(LAYOUT, max_chunks=2)
    percpu = PerCpuAllocator(LAYOUT, store)
    percpu.alloc(28 * KB)
    p = percpu.alloc(32 * KB)
    percpu.free(p)
    chunk = percpu._chunks.serving(p)
    assert chunk
    percpu._chunks.depopulate(chunk, 1, 3)
    percpu._chunks.depopulate(chunk, 5, 6)
    before = (percpu.nr_populated, percpu.nr_empty_pop_pages, list(percpu.live()))
    calls = 0

    def populate(offset: int, length: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OutOfPages("none left")
        original(offset, length)

    original = store.segment.populate
    monkeypatch.setattr(store.segment, "populate", populate)
    with pytest.raises(PerCpuExhausted, match="no page for 32768 bytes a CPU: none left"):
        percpu.alloc(32 * KB)
    assert (percpu.nr_populated, percpu.nr_empty_pop_pages, list(percpu.live())) == before
    check_accounting(percpu)
    store.segment.close()


def test_exhaustion_is_a_memory_error_and_a_bad_free_a_value_error() -> None:
    assert issubclass(PerCpuExhausted, MemoryError)
    assert issubclass(BadFree, ValueError)
