"""The table of the cover letter, to the page, from structure sizes and the allocator's algorithm."""

from __future__ import annotations

from functools import cache

import pytest

from percpu_emu.kernel.footprint import NEVER, Footprint, footprint
from percpu_emu.kernel.profile import KernelProfile, load_profile
from percpu_emu.shm import PAGE_SIZE

ORIGINAL, PATCHED = NEVER, 1
PROFILE = load_profile("linux-5.0-mmotm")


@cache
def run(cpus_per_node: tuple[int, ...], cgroups: int, lag: float, profile: KernelProfile = PROFILE) -> Footprint:
    return footprint(profile, cpus_per_node, cgroups, lag)


@pytest.mark.parametrize(("lag", "pages", "percpu_kb"), [(ORIGINAL, 501, 64128), (PATCHED, 210, 26880)])
def test_the_table_of_the_cover_letter_is_reproduced_to_the_page(lag: float, pages: int, percpu_kb: int) -> None:
    result = run((32,), 1000, lag)
    assert (result.before.pages, result.before.percpu_kb) == (54, 6912)
    assert (result.after.pages, result.after.percpu_kb) == (pages, percpu_kb)


def test_the_slab_column_of_the_patched_kernel_is_met_within_one_percent() -> None:
    """19272 kB, measured once; the original kernel's 17060 kB differ from it by more than any structure's growth."""
    result = run((32,), 1000, PATCHED)
    assert result.after.slab_kb - result.before.slab_kb == pytest.approx(19272, rel=0.01)


def test_twelve_unidentified_bytes_instead_of_eight_give_the_same_table() -> None:
    areas = tuple(
        line.model_copy(update={"size": 12, "align": 4}) if line.calibrated else line for line in PROFILE.percpu_area
    )
    profile = PROFILE.model_copy(update={"percpu_area": areas})
    assert [run((32,), 1000, lag, profile).after.pages for lag in (ORIGINAL, PATCHED)] == [501, 210]


def test_the_order_of_the_allocations_makes_no_difference_to_the_table() -> None:
    profile = PROFILE.model_copy(update={"percpu_area": PROFILE.percpu_area[::-1]})
    assert [run((32,), 1000, lag, profile).after.pages for lag in (ORIGINAL, PATCHED)] == [501, 210]


def test_the_table_shows_that_the_booted_kernel_had_used_some_of_its_dynamic_area() -> None:
    """All seven pages of it empty would have hidden three pages of growth; with 2 to 4 empty ones nothing is hidden."""
    for early, pages in ((0, [498, 207]), (16384, [501, 210])):
        sizes = PROFILE.percpu.model_copy(update={"early": early})
        profile = PROFILE.model_copy(update={"percpu": sizes})
        assert [run((32,), 1000, lag, profile).after.pages for lag in (ORIGINAL, PATCHED)] == pages


def test_a_slower_grace_period_costs_pages_for_good_on_the_patched_kernel_only() -> None:
    pages = [run((32,), 1000, lag).after.pages for lag in (1, 6, 7, 128)]
    assert pages[:3] == [210, 210, 213]
    assert 213 < pages[3] < run((32,), 1000, ORIGINAL).after.pages


@pytest.mark.parametrize(
    ("cpus_per_node", "cgroups", "original", "patched"),
    [  # pages of each unit
        ((32,), 500, 276, 132),
        ((64,), 500, 276, 132),
        ((16, 16), 500, 306, 132),
        ((32, 32), 500, 306, 132),
    ],
)
def test_other_machines_need_what_their_areas_add_up_to(
    cpus_per_node: tuple[int, ...], cgroups: int, original: int, patched: int
) -> None:
    nodes, cpus = len(cpus_per_node), sum(cpus_per_node)
    for lag, pages, of_a_cgroup in ((ORIGINAL, original, 636 + 952 + 240 * nodes), (PATCHED, patched, 636)):
        after = run(cpus_per_node, cgroups, lag).after
        assert after.pages == pages
        assert after.percpu_kb == pages * cpus * 4
        boot = PROFILE.percpu.static + PROFILE.percpu.reserved + PROFILE.percpu.early
        least = -(-(boot + cgroups * of_a_cgroup) // PAGE_SIZE)
        chunks = -(-pages // 64)
        assert least <= pages <= least + 4 + 1 + chunks  # empty pages, the parent and a cgroup in waiting, odd ends


def test_a_measured_6_1_kernel_is_met_within_one_refill_of_empty_pages() -> None:
    """550 pages a unit after 1000 cgroups, with 4 CPUs as with 32; nothing in that profile is fitted."""
    profile = load_profile("linux-6.1")
    for cpus in (4, 32):
        result = run((cpus,), 1000, NEVER, profile)
        assert result.before.percpu_kb == 64 * cpus * 4
        assert abs(result.after.pages - 550) <= 4


def test_what_a_slow_grace_period_has_cost_stays_also_where_the_kernel_depopulates() -> None:
    """Only wholly empty pages go, and on each of these lie areas of a dying cgroup that keeps them."""
    profile = load_profile("linux-6.1")
    prompt, slow = (run((4,), 1000, lag, profile) for lag in (1, 500))
    assert profile.percpu.depopulates
    assert slow.settled.pages == slow.after.pages > 2 * prompt.settled.pages


def test_it_goes_where_all_that_a_cgroup_keeps_lies_in_other_chunks() -> None:
    profile = load_profile("linux-6.1")
    sizes = profile.percpu.model_copy(update={"accounted_apart": True})
    areas = tuple(line.model_copy(update={"accounted": line.until == "release-percpu"}) for line in profile.percpu_area)
    apart = profile.model_copy(update={"percpu": sizes, "percpu_area": areas})
    prompt, slow = (run((4,), 1000, lag, apart) for lag in (1, 500))
    assert slow.after.pages > 1.5 * prompt.after.pages
    assert slow.settled.pages < slow.after.pages - 64


def test_what_no_grace_period_releases_stays() -> None:
    result = run((32,), 1000, ORIGINAL)
    assert result.settled == result.after
