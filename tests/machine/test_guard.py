"""Freed per-CPU memory: with the guard any access to it traps and is told; without it, what came back is found."""

from __future__ import annotations

import os
import resource
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from percpu_emu.kernel.layout import VMSTATS_PERCPU
from percpu_emu.kernel.profile import load_profile
from percpu_emu.kernel.protocols import PATCHED
from percpu_emu.lang import context as c
from percpu_emu.machine import MachineMemory, NoMemory, Topology, Trapped
from percpu_emu.machine.interrupts import Interrupts
from percpu_emu.percpu import guarded
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
    assert "CPU 1, where last was per-CPU area " in stray
    assert "(32768 bytes), freed by the machine on the coordinator, " in stray


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
        MachineMemory(Topology.spread(2, 1), load_profile("linux-5.0-mmotm").layout((2,)), str)


def test_a_report_names_the_structure_and_the_cgroup(make_machine: MakeMachine) -> None:
    rig = make_machine(guard=True, protocol=FREES_TOO_EARLY)
    cgroup = rig.tree.mkdir("a")
    slots = int(rig.machine.memory.words[cgroup.memcg + VMSTATS_PERCPU])
    rig.tree.rmdir(cgroup)
    rig.machine.wait_for(lambda: cgroup.state == "offline")
    with pytest.raises(
        Trapped, match=r"\(952 bytes, memcg_vmstats_percpu of cgroup a, allocated by mem_cgroup_alloc on "
    ):
        rig.run(programs.read_own_slot, slots)


def test_every_area_of_a_cgroup_has_a_name(make_machine: MakeMachine) -> None:
    rig = make_machine(nodes=2, guard=True)
    cgroup = rig.tree.mkdir("a")
    rig.tree.charge(cgroup, "page-cache", 0)
    owners = Counter(rig.machine.memory.percpu.book._owner.values())
    assert sum(count for owner, count in owners.items() if owner.endswith(" of cgroup a")) == 8 + 1 + 19
    assert owners["lruvec_stat of node 1 of cgroup a"] == owners["css.refcnt of cgroup /"] == 1


def test_the_coordinators_own_access_is_told_before_a_program_can_be_blamed(make_machine: MakeMachine) -> None:
    rig = make_machine(guard=True)
    pointer = freed_area(rig)
    cgroup = rig.tree.mkdir("a")
    rig.machine.memory.words[cgroup.memcg + VMSTATS_PERCPU] = pointer  # it dangles, and the audit looks there
    rig.tree.audit_all()
    for notices in (rig.machine.settle, rig.machine.poll, lambda: rig.machine.execute(programs.answer, 1, 2)):
        with pytest.raises(Trapped, match=r"^outside of any program, the coordinator touched byte "):
            notices()
    assert len(rig.events("trapped")) == 1, "once, however often it is noticed"


def test_a_trap_is_told_rather_than_what_was_refused_after_it(make_machine: MakeMachine) -> None:
    rig = make_machine(guard=True)
    pointer = freed_area(rig)
    cgroup = rig.tree.mkdir("a")
    rig.machine.memory.words[cgroup.memcg + VMSTATS_PERCPU] = pointer
    with pytest.raises(Trapped, match=r"^read_and_free_slots, run by the coordinator at read_and_free_slots:2 "):
        rig.machine.execute(programs.read_and_free_slots, cgroup.memcg)


def test_what_an_interrupt_touches_is_told_with_where_the_interrupt_is(make_machine: MakeMachine) -> None:
    source = Interrupts(programs.charge, range(2), 2000.0)
    rig = make_machine(guard=True, protocol=FREES_TOO_EARLY, interrupts=[source], workers=(programs.look,))
    cgroup = rig.tree.mkdir("a")
    rig.tree.table.add(cgroup)
    rig.work(programs.look)
    rig.machine.wait_for(lambda: bool(rig.machine.memory.blocks[:2, c.IRQS].all()))
    rig.tree.rmdir(cgroup)
    with pytest.raises(Trapped, match=r"of look, at .*, interrupts off or in one, charge at .* memcg_vmstats_percpu "):
        rig.machine.run_for(30)


def test_a_page_beyond_a_live_area_is_found_afterwards(make_machine: MakeMachine) -> None:
    rig = make_machine(guard=True)
    memory = rig.machine.memory
    pointer = rig.run(programs.allocate, 64)
    assert memory.stray_pages() == []
    rig.run(programs.write_own_slot, pointer + PAGE_SIZE // 8, 1, cpu=1)
    assert memory.held_pages()["percpu"] == memory.percpu.os_pages_expected() + 1
    [stray] = memory.stray_pages()
    assert stray.startswith(f"per-CPU memory: beyond its end: byte {PAGE_SIZE} of CPU 1's copy of per-CPU area ")


def test_areas_that_run_out_are_told_wherever_they_are_wanted(
    make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "MOST_AREAS", 64)
    rig = make_machine(guard=True)
    for name in ("a", "b", "c", "d", "e"):
        cgroup = rig.tree.mkdir(name)
    pages = rig.machine.memory.percpu.nr_populated
    with pytest.raises(NoMemory, match=r"^e: cannot allocate memory \(the guard has 63 areas at a time"):
        rig.tree.charge(cgroup, "page-cache", 0)
    rig.tree.mkdir("f")
    with pytest.raises(NoMemory, match=r"^g: cannot allocate memory \(.*the guard has 63 areas at a time"):
        rig.tree.mkdir("g")
    assert rig.machine.memory.percpu.nr_populated == pages + 8, "of what failed nothing stays"


def test_a_cpu_that_traps_leaves_no_core(make_machine: MakeMachine) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        rig = make_machine(guard=True)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    limits = Path(f"/proc/{rig.machine.cpus.pid(0)}/limits").read_text(encoding="utf-8")
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] in ("0", "1"), "bytes"


def test_a_cpu_that_ends_by_an_access_is_told_without_the_guard_too(make_machine: MakeMachine) -> None:
    rig = make_machine(workers=(programs.touch_nobodys,))
    rig.tree.table.add(rig.tree.mkdir("a"))
    rig.work(programs.touch_nobodys)
    with pytest.raises(Trapped, match=r"turn \d+ of touch_nobodys touched an address that cannot be .*SIGSEGV\)"):
        rig.machine.run_for(30)


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("worker", [programs.write_null, programs.read_field_of_null])
def test_null_traps_with_the_guard_and_without(make_machine: MakeMachine, worker: Any, guard: bool) -> None:
    rig = make_machine(workers=(worker,), guard=guard)
    rig.tree.table.add(rig.tree.mkdir("a"))
    rig.work(worker)
    with pytest.raises(Trapped, match=rf"turn \d+ of {worker.__name__}.* touched word 0x[0-9a-f]+ of the kernel's"):
        rig.machine.run_for(30)


@pytest.mark.parametrize("program", [programs.set_word, programs.raise_word])
def test_null_traps_in_the_coordinator_too(make_machine: MakeMachine, program: Any) -> None:
    rig = make_machine()
    with pytest.raises(Trapped, match=rf"{program.__name__}, run by the coordinator touched word 0x0 of"):
        rig.machine.execute(program, 0, *[1] * (program is programs.set_word))


def test_a_signal_that_somebody_sends_is_no_access(make_machine: MakeMachine) -> None:
    rig = make_machine(guard=True)

    def is_gone() -> bool:
        rig.machine.cpus.signal(1, signal.SIGSEGV)
        return rig.machine.cpus.online == [0]

    rig.machine.wait_for(is_gone)
    assert [event["exitcode"] for event in rig.events("cpu_died")] == [-signal.SIGSEGV]
    assert rig.events("trapped") == []
