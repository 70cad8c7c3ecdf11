from __future__ import annotations

import os
import signal

import pytest

from percpu_emu.kernel import release
from percpu_emu.kernel.layout import (
    CPU_POSSIBLE_MASK,
    CSS_REFCNT,
    LRUVEC_STAT_CPU,
    NODEINFO,
    VMSTATS,
    VMSTATS_PERCPU,
    VMSTATS_PERCPU_OFFLINED,
    Item,
)
from percpu_emu.kernel.percpu_ref import percpu_ref_get_remote
from percpu_emu.kernel.protocols import PATCHED, Protocol
from percpu_emu.lang import context as c
from percpu_emu.lang.ops import Program, free_percpu, rcu_assign_pointer, read_once
from percpu_emu.machine import Doubt
from tests.machine import programs
from tests.machine.conftest import MakeMachine
from tests.machine.test_rcu import FLAG, hold_in_update


def test_nothing_is_lost_while_every_cpu_updates_and_cgroups_are_released(make_machine: MakeMachine) -> None:
    rig = make_machine(cpus=4)
    rig.work(programs.charge)
    for number in range(40):
        cgroup = rig.tree.mkdir(f"a{number}")
        rig.tree.table.put(number % 4, cgroup)
        rig.machine.run_for(0.005)
        rig.tree.rmdir(cgroup)
    rig.machine.rest()
    rig.tree.table.clear()
    rig.machine.settle()
    assert rig.tree.releases == 40
    assert rig.tree.audit.checked > 40 * 100
    assert rig.tree.audit.imbalances == []
    assert rig.machine.memory.blocks[:, c.UPDATES].sum() > 1000


def test_an_update_that_was_noted_and_not_done_is_found(make_machine: MakeMachine) -> None:
    rig = make_machine()
    rig.tree.table.add(rig.tree.mkdir("a"))
    rig.work(programs.forgetful)
    rig.machine.wait_for(lambda: rig.machine.memory.blocks[0, c.TURN] > 10)
    rig.machine.rest()
    rig.tree.audit_all()
    (imbalance,) = rig.tree.audit.imbalances
    assert imbalance.name == "MEMCG_RSS"
    assert imbalance.counted == 0
    assert "lost" in str(imbalance)


def css_offline_without_flush(memcg: int) -> Program[None]:
    """Broken on purpose: swap, and free at once, without a wait or a flush (scenario c of the wrong protocols)."""
    for nid in range(1):
        pn = yield read_once(memcg + NODEINFO + nid)
        lruvec_stat = yield read_once(pn + LRUVEC_STAT_CPU)
        yield rcu_assign_pointer(pn + LRUVEC_STAT_CPU, 0)
        yield free_percpu(lruvec_stat)
    vmstats_percpu = yield read_once(memcg + VMSTATS_PERCPU)
    yield rcu_assign_pointer(memcg + VMSTATS_PERCPU, 0)
    yield free_percpu(vmstats_percpu)


def test_a_release_without_a_flush_is_found_with_what_it_lost(make_machine: MakeMachine) -> None:
    broken = Protocol("broken", "", css_offline_without_flush, release.css_free, release.memcg_hotplug_cpu_dead)
    rig = make_machine(protocol=broken)
    cgroup = rig.tree.mkdir("a")
    rig.tree.charge(cgroup, "vfs-cache", 0)
    for _ in range(20):
        rig.run(programs.add_cache, cgroup.memcg, 1)
    rig.tree.rmdir(cgroup)
    rig.machine.settle()
    rig.tree.audit_all()
    lost = {imbalance.name: str(imbalance) for imbalance in rig.tree.audit.imbalances}
    assert lost["MEMCG_CACHE"] == "MEMCG_CACHE is 0, 20 were added: 20 lost"
    assert "NR_SLAB_RECLAIMABLE (node 0)" in lost


def test_a_warning_of_the_kernel_names_its_line(make_machine: MakeMachine) -> None:
    rig = make_machine()
    rig.run(programs.warn, 0, cpu=1)
    assert rig.machine.memory.blocks[1, c.WARNINGS] == 0
    rig.run(programs.warn, 1, cpu=1)
    block = rig.machine.memory.blocks[1]
    assert block[c.WARNINGS] == 1
    assert "warn_on" in str(rig.machine.image.warnings[int(block[c.WARN_SITE])])


def test_a_stray_read_of_a_freed_page_shows_in_what_the_operating_system_holds(make_machine: MakeMachine) -> None:
    memory = make_machine().machine.memory
    assert memory.held_pages()["percpu"] == memory.percpu.os_pages_expected()
    assert memory.slots(memory.layout.chunk_size // 8, 1).sum() == 0  # a chunk that was never made
    assert memory.held_pages()["percpu"] == memory.percpu.os_pages_expected() + memory.topology.cpus


def test_the_slots_of_a_dead_cpu_are_folded_into_the_counters_of_living_cgroups(make_machine: MakeMachine) -> None:
    """H2: v3 as posted looked at the wrong pointer, and left a living cgroup's counts behind."""
    rig = make_machine()
    cgroup = rig.tree.mkdir("a")
    rig.run(programs.add_cache, cgroup.memcg, 7, cpu=1)
    rig.machine.offline_cpu(1)
    memory = rig.machine.memory
    assert memory.words[cgroup.memcg + VMSTATS + Item.MEMCG_CACHE] == 7
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []


def test_a_cpu_that_dies_between_swap_and_flush_is_counted_once(make_machine: MakeMachine) -> None:
    """H3: v3 as posted added its slots in the hotplug callback and again in the RCU callback."""
    rig = make_machine(cpus=3)
    cgroup = rig.tree.mkdir("a")
    memory, memcg = rig.machine.memory, cgroup.memcg
    rig.run(programs.add_cache, memcg, 7, cpu=1)
    hold_in_update(rig, memcg, cpu=0)  # keeps the grace period open
    rig.machine.execute(PATCHED.css_offline, memcg)
    assert memory.words[memcg + VMSTATS_PERCPU] == 0
    rig.machine.offline_cpu(1)
    assert memory.words[memcg + VMSTATS + Item.MEMCG_CACHE] == 0, "the callback will have it"
    memory.words[FLAG] = 1
    rig.machine.settle()
    assert memory.words[memcg + VMSTATS + Item.MEMCG_CACHE] == 8
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []


def test_a_cpu_that_dies_after_the_flush_touches_no_freed_slots(make_machine: MakeMachine) -> None:
    """H4: v3 as posted kept the pointer to the freed slots, and read through it. H1: the same for NULL."""
    rig = make_machine()
    cgroup = rig.tree.mkdir("a")
    rig.tree.charge(cgroup, "page-cache", 1)
    rig.tree.rmdir(cgroup)
    rig.machine.settle()
    assert rig.machine.memory.words[cgroup.memcg + VMSTATS_PERCPU_OFFLINED] == 0
    rig.machine.memory.slots(5, 1)  # the word that H1 would read: offset 40 of the static area
    rig.machine.offline_cpu(1)
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []


def test_a_second_flush_adds_nothing(make_machine: MakeMachine) -> None:
    rig = make_machine()
    memcg = rig.tree.mkdir("a").memcg
    rig.run(programs.add_cache, memcg, 9)
    slots = int(rig.machine.memory.words[memcg + VMSTATS_PERCPU])
    for _ in range(2):
        rig.machine.execute(release.memcg_flush_percpu, memcg, slots, CPU_POSSIBLE_MASK)
    assert rig.machine.memory.words[memcg + VMSTATS + Item.MEMCG_CACHE] == 9


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_cpu_loses_at_most_the_update_it_was_in(make_machine: MakeMachine, seed: int) -> None:
    rig = make_machine(cpus=3)
    for number in range(4):
        rig.tree.table.put(number, rig.tree.mkdir(f"a{number}"))
    rig.work(programs.charge)
    rig.machine.run_for(0.02 + 0.003 * seed)
    os.kill(rig.machine.cpus.pid(2), signal.SIGKILL)
    rig.machine.wait_for(lambda: 2 not in rig.machine.cpus.online)
    rig.machine.run_for(0.02)
    rig.machine.rest()
    rig.tree.audit_all()
    (death,) = rig.events("cpu_died")
    assert death["cpu"] == 2
    assert death["exitcode"] == -signal.SIGKILL
    assert len(rig.machine.doubts) <= 1
    assert rig.tree.audit.imbalances == []
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == [], "what was settled stays settled"


def test_a_cpu_killed_inside_an_update_is_named_with_it(make_machine: MakeMachine) -> None:
    rig = make_machine()
    memcg = rig.tree.mkdir("a").memcg
    hold_in_update(rig, memcg, cpu=1)
    os.kill(rig.machine.cpus.pid(1), signal.SIGKILL)
    rig.machine.wait_for(lambda: 1 not in rig.machine.cpus.online)
    (doubt,) = rig.machine.doubts
    assert str(doubt) == "CPU 1: +1 to MEMCG_CACHE"
    rig.machine.settle()
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []


@pytest.mark.parametrize(
    ("ahead", "words", "story"),
    [
        (0, 0, "not done, or done and entered"),
        (1, 1, "done, not entered"),
        (33, 1, "its batch of 33 was moved, the slot not yet emptied; corrected"),
    ],
)
def test_each_outcome_of_an_update_in_doubt_is_settled(
    make_machine: MakeMachine, ahead: int, words: int, story: str
) -> None:
    rig = make_machine()
    memcg = rig.tree.mkdir("a").memcg
    address = memcg + VMSTATS + Item.MEMCG_CACHE
    rig.machine.doubts.append(Doubt(1, address, "MEMCG_CACHE", delta=1, held=32))
    rig.machine.memory.words[address] += ahead
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []
    assert rig.machine.memory.words[address] == words
    settled = [str(settled) for settled in rig.tree.audit.settled] or ["CPU 1: +1 to MEMCG_CACHE: " + story]
    assert settled == [f"CPU 1: +1 to MEMCG_CACHE: {story}"]


def test_a_difference_that_no_death_explains_is_not_excused_by_one(make_machine: MakeMachine) -> None:
    rig = make_machine()
    memcg = rig.tree.mkdir("a").memcg
    address = memcg + VMSTATS + Item.MEMCG_CACHE
    rig.machine.doubts.append(Doubt(1, address, "MEMCG_CACHE", delta=1, held=5))
    rig.machine.execute(programs.set_word, address, 3)
    rig.tree.audit_all()
    assert [str(imbalance) for imbalance in rig.tree.audit.imbalances] == ["MEMCG_CACHE is 3, 0 were added: 3 too many"]


def test_a_reference_too_many_keeps_a_cgroup(make_machine: MakeMachine) -> None:
    rig = make_machine()
    cgroup = rig.tree.mkdir("a")
    rig.machine.execute(percpu_ref_get_remote, cgroup.memcg + CSS_REFCNT)
    rig.tree.rmdir(cgroup)
    rig.machine.settle()
    assert cgroup.state == "released"
