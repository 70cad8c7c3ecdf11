"""The 2022 patch on processes: updates of a dying cgroup go to its parent, and its books stay open (W4)."""

from __future__ import annotations

import pytest

from percpu_emu.kernel.layout import VMSTATS, VMSTATS_PERCPU, Item
from percpu_emu.kernel.release_2022 import UPDATES
from percpu_emu.lang.image import Image
from percpu_emu.machine import EventStream
from percpu_emu.machine.cgroups import Cgroup
from percpu_emu.machine.counters import counter_arrays
from percpu_emu.scenario.load import load
from percpu_emu.scenario.protocol_runs import RunResult, run_scenario
from tests.machine import programs

from .conftest import MakeMachine, Rig


def total(rig: Rig, cgroup: Cgroup, item: Item) -> int:
    """Twin and slots of one of its own counters."""
    array = next(counter_arrays(rig.machine.memory, cgroup.memcg))
    return int(array.values(rig.machine.memory)[item])


def run(name: str, **overrides: object) -> RunResult:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return run_scenario(load(name, {"protocols": ["patch-2022"], **given}), EventStream())


def test_an_uncharge_after_the_removal_goes_to_the_parent_and_the_child_keeps_its_page_for_ever(
    make_machine: MakeMachine,
) -> None:
    rig = make_machine(protocol="patch-2022")
    rig.tree.mkdir("parent")
    child = rig.tree.mkdir("parent/child")
    parent = rig.tree.find("parent")
    pin = rig.tree.charge(child, "page-cache", 0)
    assert total(rig, child, Item.NR_FILE_PAGES) == 1
    rig.tree.rmdir(child)
    rig.machine.settle()
    assert child.state == "released"
    assert rig.machine.memory.words[child.memcg + VMSTATS_PERCPU] == 0
    assert rig.machine.memory.words[child.memcg + VMSTATS + Item.NR_FILE_PAGES] == 1, "flushed into its own totals"
    rig.tree.uncharge(pin, 1)
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []
    assert total(rig, parent, Item.NR_FILE_PAGES) == -1
    rig.machine.settle()
    assert child.state == "freed"


def test_under_the_patchset_the_same_page_leaves_the_books_of_the_child(make_machine: MakeMachine) -> None:
    rig = make_machine(protocol="patched")
    rig.tree.mkdir("parent")
    child = rig.tree.mkdir("parent/child")
    pin = rig.tree.charge(child, "page-cache", 0)
    other = rig.tree.charge(child, "page-cache", 0)
    rig.tree.rmdir(child)
    rig.machine.settle()
    rig.tree.uncharge(pin, 1)
    assert total(rig, child, Item.NR_FILE_PAGES) == 1
    assert total(rig, rig.tree.find("parent"), Item.NR_FILE_PAGES) == 0
    rig.tree.uncharge(other, 1)


def test_updates_climb_over_every_ancestor_that_is_dying_too(make_machine: MakeMachine) -> None:
    rig = make_machine(protocol="patch-2022", nodes=2)
    rig.tree.mkdir("a")
    parent, child = rig.tree.mkdir("a/b"), rig.tree.mkdir("a/b/c")
    pins = [rig.tree.charge(child, "page-cache", cpu) for cpu in (0, 1)]
    held = rig.tree.charge(parent, "page-cache", 0)
    for cgroup in (child, parent):
        rig.tree.rmdir(cgroup)
        rig.machine.settle()
    for pin in pins:
        rig.tree.uncharge(pin, 0)
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []
    assert total(rig, rig.tree.find("a"), Item.NR_FILE_PAGES) == -2
    assert total(rig, parent, Item.NR_FILE_PAGES) == 1
    rig.tree.uncharge(held, 1)


def test_replaced_updates_are_what_the_worker_runs() -> None:
    image = Image([], programs.WORKERS, instead=dict(UPDATES))
    assert "forwarded" in image.marks
    assert "atomic path" not in image.marks


def test_the_cover_letters_table_comes_out_as_with_the_patchset() -> None:
    result = run("dying-cgroups", machine__cpus=4, cgroups=200)
    assert result.verdict == "pass", [check for check in result.checks if not check.ok]
    figures = result.figures["patch-2022"]
    assert figures["releases"] == 200
    assert figures["after"]["percpu_kb"] == figures["after"]["os_percpu_kb"] < 2304  # of the original protocol
    assert figures["forwarded"] > 0
    assert figures["atomic_path"] == 0


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("hotplug", {"seconds": 1.5, "machine__cpus": 4}),
        ("release-storm", {"seconds": 1.5, "machine__cpus": 4, "machine__guard": True}),
    ],
)
def test_nothing_is_lost_while_cpus_go_and_cgroups_are_released(name: str, overrides: dict[str, object]) -> None:
    result = run(name, **overrides)
    checks = {check.name: check.ok for check in result.checks if "expected" not in check.name}
    assert checks["nothing lost, nothing doubled"] is True
    assert all(ok is not False for ok in checks.values()), result.checks
    assert result.figures["patch-2022"]["releases"] > 0
