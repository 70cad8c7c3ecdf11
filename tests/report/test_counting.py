"""Counters beside ledgers while a CPU is in the middle of an update: what that explains, and what it does not."""

from __future__ import annotations

from percpu_emu.kernel.layout import VMSTATS, Item
from percpu_emu.lang import context as c
from percpu_emu.report.counting import CounterPicture, cgroup_pictures
from percpu_emu.report.snapshot import Observer
from tests.machine import programs
from tests.machine.conftest import MakeMachine, Rig, make_machine  # noqa: F401 - a fixture


def picture(rig: Rig, *, still: bool = True) -> CounterPicture:
    [cgroup] = cgroup_pictures(rig.machine, rig.tree, still=still)
    [counter] = cgroup.counters
    return counter


def test_an_update_in_flight_explains_what_it_can_and_nothing_else(make_machine: MakeMachine) -> None:  # noqa: F811
    rig = make_machine(cpus=2)
    cgroup = rig.tree.mkdir("a")
    rig.tree.table.add(cgroup)
    machine, twin = rig.machine, cgroup.memcg + VMSTATS + Item.MEMCG_CACHE
    flag = machine.memory.slab.kmalloc(8) // 8
    machine.cpus.run(1, programs.start_update_and_stop, cgroup.memcg, flag)
    machine.wait_for(lambda: bool(machine.memory.blocks[1, c.NOTED]))
    machine.memory.words[twin] = 1  # as if the update were done, and not yet entered
    explained = picture(rig)
    assert (explained.counted, explained.ledger, explained.difference) == (1, 0, 0)
    assert explained.in_flight == ["CPU 1: +1"]
    machine.memory.words[twin] = 4
    assert (picture(rig).difference, picture(rig).in_flight) == (4, [])
    assert picture(rig, still=False).difference is None, "while CPUs take steps nothing is known"
    machine.memory.words[twin] = 0
    machine.memory.words[flag] = 1
    machine.wait_for(lambda: not machine.memory.blocks[1, c.NOTED])
    assert picture(rig) == CounterPicture("MEMCG_CACHE", 0, [0, 1], 1, 1, 0, [])


def test_the_slots_are_gone_from_the_picture_when_they_are_released(make_machine: MakeMachine) -> None:  # noqa: F811
    rig = make_machine(cpus=2)
    cgroup = rig.tree.mkdir("a")
    rig.tree.table.add(cgroup)
    [before] = cgroup_pictures(rig.machine, rig.tree, still=True)
    assert (before.path, before.state, before.has_slots, before.counters) == ("a", "online", True, [])
    rig.tree.rmdir(cgroup)
    rig.machine.settle()
    [after] = cgroup_pictures(rig.machine, rig.tree, still=True)
    assert (after.state, after.has_slots) == ("released", False)
    kernel = Observer(rig.machine, rig.tree).kernel()
    assert (kernel.dying, kernel.releases, kernel.cgroups["released"]) == (1, 1, 1)
    assert kernel.percpu_kb == rig.machine.memory.percpu.percpu_kb
