"""Interrupts: Unix signals that run a program in the middle of whatever a CPU does."""

from __future__ import annotations

import os
import signal

import pytest

from percpu_emu.kernel.layout import VMSTATS, Item
from percpu_emu.lang import context as c
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    local_irq_restore,
    local_irq_save,
    read_once,
    synchronize_rcu,
    write_once,
)
from percpu_emu.lang.source import Refused
from percpu_emu.machine.interrupts import Interrupts
from tests.machine import programs
from tests.machine.conftest import MakeMachine, Rig


def hold_interrupts_off(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    """A worker that keeps interrupts off until the cgroup's first word of statistics says that it is enough."""
    flags = yield local_irq_save()
    while (yield read_once(memcg + VMSTATS + Item.NR_SHMEM)) == 0:
        yield cpu_relax()
    yield local_irq_restore(flags)


def sleeping(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    yield synchronize_rcu()


def divides(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    x = yield read_once(memcg)
    yield write_once(memcg, 1 // (x - x))


def interrupted(make_machine: MakeMachine, by: str = "timer", rate: float = 2000.0, worker: object = None) -> Rig:
    source = Interrupts(programs.charge, range(2), rate, by)  # type: ignore[arg-type]
    rig = make_machine(interrupts=[source], workers=(worker or programs.charge,))
    rig.tree.table.add(rig.tree.mkdir("a"))
    return rig


def count(rig: Rig, word: int, cpu: int = 0) -> int:
    return int(rig.machine.memory.blocks[cpu, word])


@pytest.mark.parametrize("by", ["timer", "coordinator"])
def test_interrupts_come_and_lose_nothing(make_machine: MakeMachine, by: str) -> None:
    rig = interrupted(make_machine, by)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: min(count(rig, c.IRQS, cpu) for cpu in (0, 1)) > 20)
    rig.machine.rest()
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []
    assert count(rig, c.UPDATES, rig.machine.memory.interrupt(0)) > 0, "their updates are counted apart"


def test_while_interrupts_are_off_they_wait(make_machine: MakeMachine) -> None:
    rig = interrupted(make_machine, worker=hold_interrupts_off)
    rig.work(hold_interrupts_off)
    rig.machine.wait_for(lambda: count(rig, c.IRQS_DEFERRED) > 5)
    before, deferred = count(rig, c.IRQS), count(rig, c.IRQS_DEFERRED)  # some may have come before they were off
    rig.machine.wait_for(lambda: count(rig, c.IRQS_DEFERRED) > deferred + 5)
    assert count(rig, c.IRQS) == before
    memcg = rig.tree.find("a").memcg
    rig.machine.memory.words[memcg + VMSTATS + Item.NR_SHMEM] = 1
    rig.machine.wait_for(lambda: count(rig, c.IRQS) > before + 5)


def test_none_comes_while_a_cpu_rests_and_they_come_again_after_hotplug(make_machine: MakeMachine) -> None:
    rig = interrupted(make_machine)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: count(rig, c.IRQS) > 3)
    rig.machine.rest()
    before = count(rig, c.IRQS)
    rig.machine.run_for(0.05)
    assert count(rig, c.IRQS) == before
    rig.machine.offline_cpu(0)
    rig.machine.online_cpu(0)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: count(rig, c.IRQS) > before + 3)


def test_a_cpu_killed_while_interrupts_come_leaves_what_can_be_settled(make_machine: MakeMachine) -> None:
    rig = interrupted(make_machine, rate=20_000.0)
    rig.work(programs.charge)
    for _ in range(5):
        rig.machine.wait_for(lambda: count(rig, c.IRQS) > 50)
        os.kill(rig.machine.cpus.pid(0), signal.SIGKILL)
        rig.machine.wait_for(lambda: rig.machine.cpus.online == [1])
        rig.machine.online_cpu(0)
        rig.machine.memory.blocks[0, c.IRQS] = 0
        rig.work(programs.charge)
    rig.machine.rest()
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []


def test_a_division_by_zero_ends_the_cpu_and_names_its_line(
    make_machine: MakeMachine, capfd: pytest.CaptureFixture[str]
) -> None:
    rig = make_machine(interrupts=[Interrupts(divides, [0], 2000.0)], workers=(programs.charge,))
    rig.tree.table.add(rig.tree.mkdir("a"))
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: rig.machine.cpus.online == [1])
    line = divides.__code__.co_firstlineno + 2
    assert f"ArithmeticError: test_interrupts.py:{line}: `1 // (x - x)`: division by zero" in capfd.readouterr().err


def test_a_program_that_sleeps_is_refused_with_the_line() -> None:
    with pytest.raises(
        Refused, match=r"test_interrupts.py:\d+: synchronize_rcu sleeps, and sleeping runs in an interr"
    ):
        Image([], interrupts=[sleeping])
