"""What real kernels printed for the script of the cover letter, in kB, against sizes and the allocators' rules."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from percpu_emu.kernel.footprint import NEVER, Footprint, footprint
from percpu_emu.kernel.profile import load_profile


class Measured(NamedTuple):
    """Slab and Percpu of /proc/meminfo before the first cgroup and after 1000."""

    kernel: str
    cpus: int
    lag: float
    slab: tuple[int, int]
    percpu: tuple[int, int]


MEASURED = {
    "the cover letter, patched": Measured("linux-5.0-mmotm", 32, 1, (66640, 85912), (6912, 26880)),
    "the cover letter, original": Measured("linux-5.0-mmotm", 32, NEVER, (67644, 84704), (6912, 64128)),
    "Debian's 6.1.176 booted with 4 CPUs": Measured("linux-6.1", 4, NEVER, (16432, 33056), (1024, 8800)),
    "Debian's 6.1.176 booted with 32 CPUs": Measured("linux-6.1", 32, NEVER, (26124, 52104), (8192, 70400)),
}


def counted(measured: Measured) -> Footprint:
    return footprint(load_profile(measured.kernel), [measured.cpus], 1000, measured.lag)


@pytest.mark.parametrize("name", MEASURED)
def test_percpu_is_met_within_one_percent(name: str) -> None:
    found = counted(MEASURED[name])
    assert (found.before.percpu_kb, found.after.percpu_kb) == pytest.approx(MEASURED[name].percpu, rel=0.01)


@pytest.mark.parametrize("name", [name for name in MEASURED if not name.endswith("original")])
def test_slab_is_no_more_than_what_was_measured(name: str) -> None:
    """The script's files and processes lie in Slab, too: on 32 CPUs of 6.1 they take almost as much as the cgroups.

    The letter's original kernel took 2.2 MB less than its patched one, which no structure explains.
    """
    before, after = MEASURED[name].slab
    found = counted(MEASURED[name])
    share = (found.after.slab_kb - found.before.slab_kb) / (after - before)
    assert 0.5 < share < 1.01, share


def test_cgroups_of_a_running_6_18_are_met_within_one_percent() -> None:
    """There the second 1000 living cgroups took 516 pages of each unit, from 595 to 1111, on 2 CPUs."""
    profile = load_profile("linux-6.18")
    first, both = (footprint(profile, [2], cgroups).after.pages for cgroups in (1000, 2000))
    assert both - first == pytest.approx(516, rel=0.01)
