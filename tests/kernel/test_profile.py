"""Kernel profiles: those that ship, and what is said about those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from percpu_emu.kernel.profile import PROFILES, KernelProfile, ProfileError, load_profile, profile_names

CALIBRATED_BYTES = range(8, 13)  # what kernel-facts 2.3 cannot trace to a structure


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = (PROFILES / "linux-6.1.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def per_cgroup(profile: KernelProfile, until: str, nr_nodes: int = 1) -> int:
    lines = [line for line in profile.percpu_area if line.until == until]
    return sum(line.size * line.times(nr_nodes) for line in lines)


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_is_called_as_its_file(name: str) -> None:
    assert load_profile(name).name == name


def test_the_sizes_of_the_counters_follow_from_their_numbers() -> None:
    old, new = (load_profile(name) for name in ("linux-5.0-mmotm", "linux-6.1"))
    sizes = {line.name: line.size for line in (*old.percpu_area, *new.percpu_area)}
    assert sizes["memcg_vmstats_percpu"] == 8 * (
        2 * new.counters.MEMCG_NR_STAT + 2 * new.counters.NR_VM_EVENT_ITEMS + 1 + 2
    )
    assert old.percpu_area[3].size == 8 * (old.counters.MEMCG_NR_STAT + old.counters.NR_VM_EVENT_ITEMS + 1 + 3) == 952
    assert sizes["lruvec_stat"] == 8 * old.counters.NR_VM_NODE_STAT_ITEMS
    assert sizes["lruvec_stats_percpu"] == 16 * new.counters.NR_VM_NODE_STAT_ITEMS


def test_the_patched_kernel_releases_1192_bytes_and_keeps_636() -> None:
    profile = load_profile("linux-5.0-mmotm")
    assert per_cgroup(profile, "release-percpu") == 952 + 240
    assert per_cgroup(profile, "release-percpu", nr_nodes=4) == 952 + 4 * 240
    assert per_cgroup(profile, "free") == 628 + 8


@pytest.mark.parametrize("name", profile_names())
def test_at_most_one_line_is_calibrated_and_it_is_small(name: str) -> None:
    calibrated = [line.size for line in load_profile(name).percpu_area if line.calibrated]
    assert len(calibrated) <= 1
    assert all(size in CALIBRATED_BYTES for size in calibrated)


def test_boot_pages_give_the_static_area() -> None:
    profile = load_profile("linux-5.0-mmotm")
    assert profile.percpu.static == 184320
    assert profile.layout([16, 16]).boot_pages == 54
    assert load_profile("linux-6.1").layout([32]).unit_pages == 64


def test_a_profile_cannot_be_changed() -> None:
    profile = load_profile("linux-6.1")
    with pytest.raises(ValidationError, match="frozen"):
        profile.title = "mine"


def test_a_profile_is_loaded_by_path(tmp_path: Path) -> None:
    path = edited(tmp_path, 'name = "linux-6.1"', 'name = "mine"')
    assert load_profile(path).name == load_profile(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("boot_pages = 64 ", "boot_pages = 64.5 ", "percpu.boot_pages: found 64.5; Input should be a valid integer"),
        ("boot_pages = 64 ", "boot_pages = 3 ", "percpu: .* boot_pages must hold more than"),
        ("early = 12288 ", "early = 40960 ", "percpu: .* early must not be more than dynamic"),
        ("reserved =", "preserved =", r"percpu.reserved: missing"),
        ("reserved =", "preserved =", r"percpu.preserved: unknown key 'preserved'; allowed are boot_pages, reserved"),
        ("= 64\n", '= "64"\n', "counters.MEMCG_CHARGE_BATCH: found '64'; Input should be a valid integer"),
        ("align = 64\n", "align = 48\n", r"percpu_area\[2\].align: found 48; Input should be 4, 8, 16"),
        ('stage = "mkdir"', 'stage = "rmdir"', r"percpu_area\[0\].stage: found 'rmdir'; .* 'mkdir' or 'charge'"),
        ("size = 1064", "size = 40000", r"percpu_area\[4\].size: found 40000; .* less than or equal to 32768"),
        ("size = 2184 ", "size = 9000 ", r"slab_object\[3\].size: found 9000; .* less than or equal to 8192"),
        ("count = 3 ", "count = 1001 ", r"slab_object\[7\].count: found 1001; .* less than or equal to 1000"),
        ("of_cgroup = 1\n", "of_cgroup = 2\n", r"percpu_area\[0\]: .* of_cgroup must not be more than count"),
        ("title =", "titel =", "titel: unknown key 'titel'; allowed are name, title, verified, basis"),
        ("verified = true", 'verified = "yes"', "verified: found 'yes'; Input should be a valid boolean"),
        ("basis =", "bases =", "basis: missing"),
        ("[percpu]", "[percpu", "not TOML"),
    ],
)
def test_a_wrong_profile_is_refused_with_file_key_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(ProfileError, match=f"{path}: .*{said}|{path}: {said}|(?s:.*)\n{path}: {said}"):
        load_profile(path)


def test_kernels_are_listed_by_version() -> None:
    names = profile_names()
    assert names.index("linux-5.4") < names.index("linux-5.10") < names.index("linux-5.18") < names.index("linux-6.1")
    assert names.index("linux-6.6") < names.index("linux-6.12")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ProfileError, match=r"no kernel profile 'linux-9': known are linux-5.0-mmotm, linux-5.4, .*, or a path"
    ):
        load_profile("linux-9")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="No such file"):
        load_profile(tmp_path / "none.toml")


def test_the_page_about_kernels_has_the_figures_of_every_profile() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kernels.md").read_text()
    for name in profile_names():
        profile = load_profile(name)
        totals = [
            sum(area.size * area.count for area in profile.percpu_area if chosen(area))
            for chosen in (lambda _: True, lambda area: area.per == "node", lambda area: area.until != "free")
        ]
        figures = [*totals, profile.percpu.boot_pages, "verified" if profile.verified else "not verified"]
        assert f"| {name} | {' | '.join(map(str, figures))} |" in page


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_says_which_statistics_a_release_would_free(name: str) -> None:
    lines = {line.name: line.until for line in load_profile(name).percpu_area}
    statistics = [until for area, until in lines.items() if "vmstats" in area or "lruvec" in area]
    assert len(statistics) >= 2
    assert set(statistics) == {"release-percpu"}
