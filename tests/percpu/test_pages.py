"""Pages that are really there: populated, zeroed and given back for possible CPUs and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from percpu_emu.percpu import AreaLayout, CountedPages, PerCpuAllocator, SharedPages
from percpu_emu.percpu.layout import KB

from .recount import check_accounting

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = AreaLayout((3, 2), static_size=4 * KB, atom_size=256 * KB)
CPUS = range(LAYOUT.nr_cpus)
UNUSED = sorted(set(range(LAYOUT.nr_units)) - set(LAYOUT.units))


@pytest.fixture
def shared() -> Iterator[SharedPages]:
    shared = SharedPages(LAYOUT, max_chunks=3)
    yield shared
    shared.segment.close()


def copy(shared: SharedPages, p: int, cpu: int, size: int) -> memoryview:
    start = p + LAYOUT.unit_offset(cpu)
    return memoryview(shared.segment.bytes)[start : start + size]  # type: ignore[arg-type]


def test_a_populated_page_is_held_once_for_every_possible_cpu(shared: SharedPages) -> None:
    shared.populate(1, 2, 5)
    assert shared.held_pages() == 3 * LAYOUT.nr_cpus
    shared.depopulate(1, 3, 4)
    assert shared.held_pages() == 2 * LAYOUT.nr_cpus


def test_an_area_is_zero_on_every_cpu_however_it_was_used_before(shared: SharedPages) -> None:
    percpu = PerCpuAllocator(LAYOUT, shared)
    p = percpu.alloc(952)
    for cpu in CPUS:
        copy(shared, p, cpu, 952)[:] = b"\xff" * 952
    percpu.free(p)
    assert percpu.alloc(952) == p
    assert all(bytes(copy(shared, p, cpu, 952)) == bytes(952) for cpu in CPUS)


def test_zeroing_leaves_the_neighbours_alone(shared: SharedPages) -> None:
    percpu = PerCpuAllocator(LAYOUT, shared)
    left, middle, right = (percpu.alloc(8) for _ in range(3))
    for cpu in CPUS:
        copy(shared, left, cpu, 24)[:] = b"\xff" * 24
    percpu.free(middle)
    assert percpu.alloc(8) == middle
    assert right == middle + 8
    assert all(bytes(copy(shared, left, cpu, 24)) == b"\xff" * 8 + bytes(8) + b"\xff" * 8 for cpu in CPUS)


def test_units_without_a_cpu_never_hold_a_page(shared: SharedPages) -> None:
    percpu = PerCpuAllocator(LAYOUT, shared)
    for _ in range(4):
        percpu.alloc(32 * KB)
    percpu.balance()
    assert UNUSED
    for chunk in range(2):
        for unit in UNUSED:
            start = chunk * LAYOUT.chunk_size + unit * LAYOUT.unit_size
            assert not shared.segment.holds_data(start, LAYOUT.unit_size)
    check_accounting(percpu)


def test_a_destroyed_chunk_gives_its_pages_back_to_the_operating_system(shared: SharedPages) -> None:
    percpu = PerCpuAllocator(LAYOUT, shared)
    areas = [percpu.alloc(32 * KB) for _ in range(2 * LAYOUT.unit_size // (32 * KB))]
    held = shared.held_pages()
    for p in areas:
        percpu.free(p)
    assert shared.held_pages() == held
    percpu.balance()
    assert shared.held_pages() == held - LAYOUT.unit_pages * LAYOUT.nr_cpus
    check_accounting(percpu)


def test_gigabytes_of_address_space_cost_nothing() -> None:
    shared = SharedPages(AreaLayout((64,), static_size=184320), max_chunks=1000)
    assert shared.segment.size == 1000 * 64 * 256 * KB
    assert shared.held_pages() == 0
    shared.segment.close()


def test_counted_pages_count_what_shared_pages_hold(shared: SharedPages) -> None:
    counted = CountedPages(LAYOUT)
    for store in (shared, counted):
        percpu = PerCpuAllocator(LAYOUT, store)
        areas = [percpu.alloc(size) for size in (952, 240, 32 * KB, 32 * KB, 28 * KB)]
        for p in areas[::2]:
            percpu.free(p)
        percpu.balance()
        check_accounting(percpu)
    assert counted.held_pages() == shared.held_pages()
