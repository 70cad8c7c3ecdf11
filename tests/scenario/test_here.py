"""`footprint --here`: the account of the kernel that runs, beside what that host says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from percpu_emu.kernel.btf import BtfError
from percpu_emu.scenario.here import BTF, read_here
from tests.kernel.btf_builder import KernelBuilder

if TYPE_CHECKING:
    from pathlib import Path

LONG, STATS, EVENTS = 8, 50, 15
PER_CPU = LONG + 64 + LONG * 2 * (STATS + EVENTS) + LONG * 2 * STATS + LONG
"""Bytes of a cgroup of KernelBuilder's kernel on each CPU: two reference counts, rstat, and the counters."""


@pytest.fixture(name="root")
def a_host(tmp_path: Path) -> Path:
    files = {
        "proc/sys/kernel/osrelease": "6.1.0-test\n",
        "proc/meminfo": "Slab:   300000 kB\nPercpu:   81920 kB\n",
        "proc/zoneinfo": "Node 0, zone DMA\n      nr_slab_reclaimable 75000\n",
        "proc/cgroups": "memory\t0\t2000\t1\n",
        "proc/self/mountinfo": "32 23 0:29 / /cg rw - cgroup2 c rw\n",
        "cg/cgroup.stat": "nr_descendants 40\nnr_dying_descendants 1960\n",
        "sys/devices/system/cpu/possible": "0-7\n",
        "sys/devices/system/cpu/online": "0-7\n",
        "sys/devices/system/node/possible": "0\n",
        "sys/devices/system/node/online": "0\n",
        "sys/devices/system/node/node0/cpulist": "0-7\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / BTF).parent.mkdir(parents=True)
    (tmp_path / BTF).write_bytes(KernelBuilder(stats=STATS, events=EVENTS).with_percpu(200_000).build())
    return tmp_path


def test_the_host_is_a_machine_with_its_own_dying_cgroups(root: Path) -> None:
    plan = read_here(root).plan(None, 1)
    assert (plan.cpus, plan.nodes, plan.cgroups, plan.kernel.verified) == (8, 1, 1960, True)
    assert sum(area.size for area in plan.kernel.percpu_area) == PER_CPU
    assert read_here(root).plan(5, 1).cgroups == 5


def test_where_no_cgroup_is_dying_a_thousand_are_asked_for(root: Path) -> None:
    (root / "cg/cgroup.stat").write_text("nr_descendants 40\nnr_dying_descendants 0\n")
    assert read_here(root).plan(None, 1).cgroups == 1000


def test_the_account_stands_beside_what_the_host_says(root: Path) -> None:
    here = read_here(root)
    figures = here.figures()
    assert (figures["percpu_kb"], figures["slab_kb_of_nodes"], figures["dying"]) == (
        81920,
        {"0": 300000},
        {"/cg": 1960},
    )
    assert figures["counted"]["percpu_kb"] == pytest.approx(2000 * PER_CPU * 8 / 1024, rel=0.01)
    notes = here.notes()
    assert "Linux 6.1.0-test: 8 possible CPUs, 8 online; Percpu 81920 kB, Slab 300000 kB (node 0 300000)" in notes[0]
    assert "/cg/cgroup.stat: 40 cgroups, 1960 dying" in notes[1]
    assert not any("that is more than there is" in note for note in notes)


def test_an_account_that_is_more_than_the_host_has_is_said_to_be(root: Path) -> None:
    (root / "proc/meminfo").write_text("Percpu:   8192 kB\n")
    assert any("that is more than there is, so some are without it" in note for note in read_here(root).notes())


def test_what_the_host_does_not_say_is_not_counted(root: Path) -> None:
    for path in ("proc/cgroups", "proc/meminfo", "proc/zoneinfo"):
        (root / path).unlink()
    here = read_here(root)
    assert here.figures()["counted"] is None
    assert "Percpu an unknown number of kB" in here.notes()[0]
    assert any(note.startswith("not read: /proc/cgroups: ") for note in here.notes())


def test_a_kernel_without_its_types_is_named(root: Path) -> None:
    (root / BTF).unlink()
    with pytest.raises(BtfError, match=r"sys/kernel/btf/vmlinux: there is no such file"):
        read_here(root)
