"""`run --kernel`: the machine with the sizes of every profile that ships, and what is said of one that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from percpu_emu.kernel.footprint import footprint
from percpu_emu.kernel.profile import PROFILES, load_profile, profile_names
from percpu_emu.machine import EventStream
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.protocol_runs import RunResult, run_scenario

if TYPE_CHECKING:
    from pathlib import Path

CPUS, CGROUPS = 2, 30


def run(kernel: str) -> RunResult:
    given = {"machine.kernel": kernel, "machine.cpus": CPUS, "cgroups": CGROUPS, "protocols": ["original"]}
    return run_scenario(load("dying-cgroups", given), EventStream())


@pytest.mark.parametrize("kernel", profile_names())
def test_a_run_with_the_sizes_of_a_kernel_takes_the_pages_that_its_profile_adds_up_to(kernel: str) -> None:
    result = run(kernel)
    assert [check for check in result.checks if check.ok is False] == []
    profile = load_profile(kernel)
    apart = profile.percpu.accounted_apart
    assert any("accounted areas in chunks of their own" in note for note in result.notes) == apart
    together = profile.percpu.model_copy(update={"accounted_apart": False})
    on_paper = footprint(profile.model_copy(update={"percpu": together}), [CPUS], CGROUPS)
    before, after = (result.figures["original"][key]["percpu_kb"] for key in ("before", "after"))
    assert (before, after) == (on_paper.before.percpu_kb, on_paper.after.percpu_kb)


def test_a_run_says_that_another_kernel_gives_its_sizes_only() -> None:
    for kernel in ("linux-6.6", "linux-5.18-v1"):
        assert any(f"{kernel} gives the sizes (sizes NOT verified); counters" in note for note in run(kernel).notes)
        assert any("Slab begins with what the cover letter's kernel had at boot" in note for note in run(kernel).notes)
    assert not any("gives the sizes" in note for note in run("linux-5.0-mmotm").notes)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("size = 1064 ", "size = 80 ", "has 80 bytes of memcg_vmstats_percpu, where the counters that the programs"),
        ("size = 688 ", "size = 232 ", "has 232 bytes of lruvec_stat, where the counters that the programs update"),
        ('name = "lruvec_stats_percpu"', 'name = "x"', "has no line lruvec_stat or lruvec_stats_percpu, whose size a"),
    ],
)
def test_a_kernel_that_the_programs_do_not_fit_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (PROFILES / "linux-6.1.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ScenarioError, match=f"machine.kernel: the profile linux-6.1 {said}"):
        run(str(tmp_path / "mine.toml"))
