"""Freed per-CPU memory: with the guard any access to it traps and is told; without it, what came back is found."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from percpu_emu.kernel.layout import VMSTATS_PERCPU
from percpu_emu.kernel.profile import load_profile
from percpu_emu.kernel.protocols import PATCHED
from percpu_emu.lang import context as c
from percpu_emu.machine import MachineMemory, Topology
from percpu_emu.machine.machine import Trapped
from percpu_emu.shm import PAGE_SIZE, OutOfPages, Segment
from tests.machine import programs
from tests.machine.conftest import MakeMachine, Rig

FREES_TOO_EARLY = replace(
    PATCHED, css_offline=programs.keep_slots_free, css_free=programs.nothing, cpu_dead=programs.nothing, release=None
)


def freed_area(rig: Rig) -> int:
    """A per-CPU pointer, in words, that CPU 1 has allocated and freed."""
    pointer = rig.run(programs.allocate, 64, cpu=1)
    rig.run(programs.free, pointer, cpu=1)
    return pointer


@pytest.mark.parametrize(("program", "arguments"), [(programs.read_own_slot, ()), (programs.write_own_slot, (1,))])
def test_a_cpu_that_touches_a_freed_area_is_told_with_everything(
    make_machine: MakeMachine, program: Callable[..., object], arguments: tuple[int, ...]
) -> None:
    rig = make_machine(guard=True)
    pointer = freed_area(rig)
    with pytest.raises(Trapped) as trap:
        rig.run(program, pointer + 3, *arguments, cpu=0)
    told = str(trap.value)
    name = getattr(program, "__name__", "")
    assert told.startswith("CPU 0, process ")
    assert f"running {name}, at {name}:1 (line " in told
    assert f"touched byte 24 of CPU 0's copy of per-CPU area {pointer * 8:#x} (64 bytes, allocated by CPU 1, " in told
    assert "freed by CPU 1, process " in told
    assert "at free:1 (line " in told
    assert told.endswith("after grace period 1 (SIGBUS)")
    [event] = rig.events("trapped")
    assert (event["context"], event["signal"]) == (0, "SIGBUS")


def test_the_coordinator_outlives_its_own_access_and_tells_it(make_machine: MakeMachine) -> None:
    """By a compiled program: the protocol's flush, as in H4."""
    rig = make_machine(guard=True)
    pointer = freed_area(rig)
    cgroup = rig.tree.mkdir("a")
    rig.machine.memory.words[cgroup.memcg + VMSTATS_PERCPU] = pointer  # it dangles
    with pytest.raises(Trapped) as trap:
        rig.machine.execute(rig.machine.protocol.cpu_dead, 1)
    assert str(trap.value).startswith("memcg_hotplug_cpu_dead, run by the coordinator at percpu_take:3 (line ")
    assert "copy of per-CPU area" in str(trap.value)


def test_a_release_that_does_not_wait_is_caught_under_running_updates(make_machine: MakeMachine) -> None:
    rig = make_machine(cpus=2, guard=True, protocol=FREES_TOO_EARLY)
    cgroup = rig.tree.mkdir("a")
    rig.tree.table.add(cgroup)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: bool(rig.machine.memory.blocks[:2, c.TURN].all()))
    rig.tree.rmdir(cgroup)
    with pytest.raises(Trapped, match=r"turn \d+ of charge, at .*, inside CPU .: \+1 to MEMCG_CACHE touched byte .*"):
        rig.machine.run_for(30)


def test_null_is_nobodys(make_machine: MakeMachine) -> None:
    rig = make_machine(guard=True)
    with pytest.raises(Trapped, match="touched byte 40 of CPU 1's copy of NULL"):
        rig.run(programs.read_own_slot, 5, cpu=1)


def test_what_is_right_passes_and_handlers_are_put_back(make_machine: MakeMachine) -> None:
    before = signal.getsignal(signal.SIGBUS)
    rig = make_machine(guard=True)
    cgroup = rig.tree.mkdir("a")
    rig.tree.table.add(cgroup)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: bool(rig.machine.memory.blocks[:2, c.TURN].all()))
    rig.tree.rmdir(cgroup)
    rig.machine.wait_for(lambda: rig.tree.releases == 1)
    rig.machine.rest()
    rig.tree.audit_all()
    assert (rig.tree.audit.imbalances, rig.events("trapped")) == ([], [])
    assert rig.machine.memory.held_pages()["percpu"] == rig.machine.memory.percpu.os_pages_expected()
    rig.machine.close()
    assert signal.getsignal(signal.SIGBUS) == before


def test_without_the_guard_a_page_that_came_back_is_found(make_machine: MakeMachine) -> None:
    rig = make_machine()
    memory = rig.machine.memory
    assert memory.stray_pages() == []
    areas = [memory.percpu.alloc(32 * 1024) for _ in range(4 * memory.layout.unit_size // (32 * 1024))]
    for area in areas:
        memory.percpu.free(area)
    memory.percpu.balance()
    size, populated = memory.layout.chunk_size, memory.percpu.is_populated
    gone = next(area for area in areas if not populated(area // size, area % size // PAGE_SIZE))
    rig.run(programs.write_own_slot, gone // 8, 1, cpu=1)
    [stray] = memory.stray_pages()
    assert "CPU 1" in stray


def test_a_page_of_slab_that_came_back_is_found_too(make_machine: MakeMachine) -> None:
    rig = make_machine()
    memory = rig.machine.memory
    objects = [memory.slab.kmalloc(8192) for _ in range(64)]
    for offset in objects:
        memory.slab.kfree(offset)
    assert memory.stray_pages() == []
    for offset in objects:
        rig.run(programs.set_word, offset // 8, 1)
    assert any("of the kernel's memory" in page for page in memory.stray_pages())


def test_a_cpu_killed_by_hand_is_no_trap(make_machine: MakeMachine) -> None:
    rig = make_machine(guard=True)
    os.kill(rig.machine.cpus.pid(1), signal.SIGKILL)
    rig.machine.wait_for(lambda: rig.machine.cpus.online == [0])
    assert rig.events("trapped") == []


@pytest.mark.parametrize("name", ["control", "ledgers", "percpu"])
def test_a_machine_that_gets_only_part_of_its_memory_keeps_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The fixture of every test looks for descriptors that are left."""
    made = Segment.__init__

    def refuse(self: Segment, called: str, size: int) -> None:
        if called == name:
            raise OutOfPages("refused")
        made(self, called, size)

    monkeypatch.setattr(Segment, "__init__", refuse)
    with pytest.raises(OutOfPages, match="refused"):
        MachineMemory(Topology.spread(2, 1), load_profile("linux-5.0-mmotm").layout((2,)))
