from __future__ import annotations

import time

from percpu_emu.kernel.layout import BOOT, VMSTATS_PERCPU, Item
from percpu_emu.lang import context as c
from tests.machine import programs
from tests.machine.conftest import MakeMachine, Rig

FLAG = BOOT + 8000  # a word of the boot data that nothing else uses
WORD = BOOT + 8001


def hold_in_update(rig: Rig, memcg: int, cpu: int) -> None:
    """Have a CPU stop in the middle of an update, and wait until it stands there."""
    rig.machine.memory.words[FLAG] = 0
    rig.machine.cpus.run(cpu, programs.start_update_and_stop, memcg, FLAG)
    rig.machine.wait_for(lambda: rig.machine.memory.blocks[cpu, c.NOTED] > 0)


def test_a_release_waits_for_the_update_that_has_read_the_pointer(make_machine: MakeMachine) -> None:
    rig = make_machine()
    cgroup = rig.tree.mkdir("a")
    rig.tree.charge(cgroup, "page-cache", 1)
    hold_in_update(rig, cgroup.memcg, cpu=0)
    rig.tree.rmdir(cgroup)
    rig.machine.run_for(0.1)
    assert rig.tree.releases == 0
    assert rig.machine.memory.words[cgroup.memcg + VMSTATS_PERCPU] != 0
    rig.machine.memory.words[FLAG] = 1
    rig.machine.settle()
    assert rig.tree.releases == 1
    assert rig.machine.execute(programs.exact_state, cgroup.memcg) == 2
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []


def test_a_stalled_grace_period_names_the_cpu_and_goes_on_when_the_reader_does(make_machine: MakeMachine) -> None:
    rig = make_machine(stall_seconds=0.05)
    cgroup = rig.tree.mkdir("a")
    hold_in_update(rig, cgroup.memcg, cpu=1)
    over: list[bool] = []
    rig.machine.rcu.call(lambda: over.append(True))
    rig.machine.wait_for(lambda: len(rig.events("rcu_stall")) == 2)
    assert over == []
    stall = rig.events("rcu_stall")[0]
    assert stall["cpus"] == [1]
    assert "start_update_and_stop" in stall["where"][0]
    assert f"+1 to {Item.MEMCG_CACHE.name}" in stall["where"][0]
    rig.machine.memory.words[FLAG] = 1
    rig.machine.settle()
    assert over == [True]


def test_a_grace_period_does_not_wait_for_idle_or_offline_cpus(make_machine: MakeMachine) -> None:
    rig = make_machine(cpus=3)
    rig.machine.offline_cpu(2)
    begin = time.monotonic()
    rig.machine.rcu.call(lambda: None)
    rig.machine.settle()
    assert rig.machine.rcu.ended == 1
    assert time.monotonic() - begin < 5


def test_callbacks_run_once_and_after_the_readers_that_were_there(make_machine: MakeMachine) -> None:
    rig = make_machine()
    for _ in range(25):  # more than a batch
        rig.run(programs.queue_set_word, WORD)
    rig.machine.settle()
    assert rig.machine.memory.words[WORD] == 25


def test_more_callbacks_than_a_ring_holds_are_all_run(make_machine: MakeMachine) -> None:
    rig = make_machine()
    count = c.RING_ENTRIES + 10
    for _ in range(count):
        rig.machine.execute(programs.queue_set_word, WORD)
    rig.machine.settle()
    assert rig.machine.memory.words[WORD] == count


def test_synchronize_rcu_on_a_cpu_waits_for_another_cpus_reader(make_machine: MakeMachine) -> None:
    rig = make_machine()
    hold_in_update(rig, rig.tree.mkdir("a").memcg, cpu=1)
    number = rig.machine.cpus.run(0, programs.wait_for_readers)
    rig.machine.run_for(0.1)
    assert not rig.machine.cpus.done(0, number)
    rig.machine.memory.words[FLAG] = 1
    rig.machine.wait_for(lambda: rig.machine.cpus.done(0, number))
    assert rig.machine.memory.blocks[0, c.RESULT] == 1


def test_rcu_barrier_on_a_cpu_returns_after_the_callbacks_that_were_queued(make_machine: MakeMachine) -> None:
    assert make_machine().run(programs.queue_and_wait, WORD) == 1


def test_the_coordinator_can_wait_for_a_grace_period_itself(make_machine: MakeMachine) -> None:
    rig = make_machine()
    assert rig.machine.execute(programs.wait_for_readers) == 1
    assert rig.machine.execute(programs.queue_and_wait, WORD) == 1
