"""The compiled account is the allocator's own: the same pages, whatever the areas and the rules."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percpu_emu.kernel.counting import count_pages
from percpu_emu.kernel.footprint import NEVER, counted_by_python
from percpu_emu.kernel.profile import KernelProfile, PercpuArea, Stage, load_profile

PROFILE = load_profile("linux-6.1")
SIZES = st.sampled_from([4, 8, 32, 64, 128, 240, 952, 1064]) | st.integers(1, 3000) | st.integers(1, 32768)


@st.composite
def profiles(draw: st.DrawFn) -> KernelProfile:
    """Any areas, under any rules."""
    areas = draw(
        st.lists(
            st.builds(
                PercpuArea,
                name=st.just("area"),
                source=st.just("drawn"),
                size=SIZES,
                align=st.sampled_from([4, 8, 16, 64, 1024]),
                per=st.sampled_from(["cgroup", "node"]),
                count=st.integers(1, 3),
                stage=st.sampled_from(get_args(Stage)),
                until=st.sampled_from(["release-percpu", "free"]),
                accounted=st.booleans(),
            ),
            min_size=1,
            max_size=8,
        )
    )
    sizes = PROFILE.percpu.model_copy(
        update={
            "early": draw(st.sampled_from([0, 1000, 12288, 28672])),
            "depopulates": draw(st.booleans()),
            "accounted_apart": draw(st.booleans()),
        }
    )
    return PROFILE.model_copy(update={"percpu": sizes, "percpu_area": tuple(areas)})


@settings(max_examples=60, deadline=None)
@given(
    profile=profiles(),
    nr_nodes=st.integers(1, 3),
    unit_kb=st.sampled_from([256, 512, 1024]),
    cgroups=st.integers(0, 60),
    lag=st.none() | st.integers(0, 70),
)
def test_compiled_and_python_count_the_same_pages(
    profile: KernelProfile, nr_nodes: int, unit_kb: int, cgroups: int, lag: int | None
) -> None:
    layout = profile.layout((1,) * nr_nodes, atom_size=unit_kb * 1024)
    in_python = counted_by_python(profile, layout, cgroups, NEVER if lag is None else lag)
    assert count_pages(profile, layout, cgroups, lag) == in_python


@pytest.mark.parametrize("name", ["linux-5.0-mmotm", "linux-6.1"])
@pytest.mark.parametrize("lag", [None, 1, 100])
def test_they_count_the_same_for_the_kernels_that_ship(name: str, lag: int | None) -> None:
    profile = load_profile(name)
    layout = profile.layout((4, 4))
    in_python = counted_by_python(profile, layout, 1500, NEVER if lag is None else lag)
    assert count_pages(profile, layout, 1500, lag) == in_python


def test_a_pool_that_is_too_small_is_made_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    profile, layout = PROFILE, PROFILE.layout((1,))
    whole = count_pages(profile, layout, 2000, None)
    monkeypatch.setattr("percpu_emu.kernel.counting.SPARE_CHUNKS", 2 - 2000 * 2000 * 9 // (8 * layout.unit_size))
    assert count_pages(profile, layout, 2000, None) == whole
