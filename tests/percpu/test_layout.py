"""The embed allocator's arithmetic: units, allocations and groups of real machines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.percpu import AreaLayout
from percpu_emu.percpu.layout import KB

STATIC = 54 * 4 * KB - 36 * KB  # so that static, reserved and dynamic area fill 54 pages


@pytest.mark.parametrize(
    ("cpus_per_node", "unit_kb", "upa", "allocs", "units"),
    [
        ((1,), 2048, 1, 1, 1),
        ((4,), 512, 4, 1, 4),
        ((12,), 256, 8, 2, 16),  # a third wasted is still allowed
        ((32,), 256, 8, 4, 32),
        ((256,), 256, 8, 32, 256),
        ((16, 16), 256, 8, 4, 32),
        ((6, 6), 256, 8, 2, 16),
        ((8, 8, 8, 8), 256, 8, 4, 32),
        ((20, 20, 20, 20), 256, 8, 12, 96),
        ((3, 5), 1024, 2, 5, 10),
    ],
)
def test_a_machine_gets_the_units_that_the_kernel_cuts(
    cpus_per_node: tuple[int, ...], unit_kb: int, upa: int, allocs: int, units: int
) -> None:
    layout = AreaLayout(cpus_per_node, STATIC)
    assert layout.boot_pages == 54
    assert (layout.unit_size, layout.units_per_alloc) == (unit_kb * KB, upa)
    assert (layout.nr_allocs, layout.nr_units) == (allocs, units)
    assert layout.chunk_size == units * unit_kb * KB


def test_the_cpus_of_a_node_come_first_in_its_group_of_units() -> None:
    layout = AreaLayout((6, 6), STATIC)
    assert layout.units == (0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13)
    assert [layout.node_of(cpu) for cpu in range(12)] == [0] * 6 + [1] * 6
    assert layout.unit_offset(6) == 8 * 256 * KB


def test_the_dynamic_area_reaches_to_the_end_of_its_last_page() -> None:
    assert AreaLayout((2,), 100 * KB + 4).boot_pages == 25 + 2 + 7 + 1
    assert AreaLayout((2,), 100 * KB, dynamic_size=0).boot_pages == 25 + 2 + 3  # the early slots at least


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cpus_per_node": ()}, "every node needs"),
        ({"cpus_per_node": (4, 0)}, "every node needs"),
        ({"static_size": 0}, "static_size 0"),
        ({"reserved_size": 6}, "reserved_size 6"),
        ({"dynamic_size": -4}, "dynamic_size -4"),
        ({"atom_size": 5000}, "atom_size 5000"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AreaLayout(**({"cpus_per_node": (4,), "static_size": 4096} | wrong))  # type: ignore[arg-type]


@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=6),
    st.integers(1, 200),
    st.sampled_from([64 * KB, 2048 * KB]),
)
def test_units_hold_the_first_chunk_and_waste_no_more_than_a_third(cpus: list[int], pages: int, atom: int) -> None:
    layout = AreaLayout(cpus, pages * 4 * KB, atom_size=atom)
    assert layout.unit_size >= layout.size_sum
    assert layout.unit_size % (4 * KB) == 0
    assert layout.nr_units - layout.nr_cpus <= layout.nr_cpus // 3
    assert len(set(layout.units)) == layout.nr_cpus
    assert max(layout.units) < layout.nr_units
