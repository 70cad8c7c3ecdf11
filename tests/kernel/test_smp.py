"""Calls of another CPU: they run there, in an interrupt, and the caller waits; or neither goes on."""

from __future__ import annotations

from typing import Literal

import pytest

from percpu_emu.kernel.smp import CallSingle, csd_lock, csd_lock_wait, csd_unlock
from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    irq_work_queue_on,
    local_irq_restore,
    local_irq_save,
    read_once,
    smp_processor_id,
    this_cpu_read,
    this_cpu_write,
    wait_until,
    warn_on,
    write_once,
)
from percpu_emu.lang.setting import ContextSpec, unit_word
from percpu_emu.lang.structures import Array, Struct, Word
from tests.explore.searched import of, searched, task

from .cases import Case, beside

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Slot(Struct):
    """How many calls a CPU has answered."""

    calls: Word


class Shared(Struct):
    """Calls, and what they leave."""

    calls: Array[CallSingle, Literal[2]]
    ran_on: Word
    flag: Word


shared = Shared()
slot = Slot.static_per_cpu()


def answer(call: CallSingle) -> Program[None]:
    cpu = yield smp_processor_id()
    yield write_once(shared.ran_on, cpu + 1)
    calls = yield this_cpu_read(slot.calls)
    yield this_cpu_write(slot.calls, calls + 1)
    yield from csd_unlock(call)


def answer_asleep(call: CallSingle) -> Program[None]:
    """Sleeps in an interrupt."""
    yield wait_until(shared.flag, 1)
    yield from csd_unlock(call)


def call_and_look(cpu: int) -> Program[None]:
    yield from csd_lock(shared.calls[cpu])
    sent = yield irq_work_queue_on(answer, shared.calls[cpu], cpu)
    if sent:
        yield from csd_lock_wait(shared.calls[cpu])
        ran_on = yield read_once(shared.ran_on)
        yield warn_on(ran_on != cpu + 1)


def call_and_not_wait(cpu: int) -> Program[None]:
    yield irq_work_queue_on(answer, shared.calls[cpu], cpu)
    ran_on = yield read_once(shared.ran_on)
    yield warn_on(ran_on != cpu + 1)


def call_without_asking(cpu: int) -> Program[None]:
    """Waits for a CPU that is off line, too."""
    yield from csd_lock(shared.calls[cpu])
    yield irq_work_queue_on(answer, shared.calls[cpu], cpu)
    yield from csd_lock_wait(shared.calls[cpu])


def call_asleep(cpu: int) -> Program[None]:
    yield irq_work_queue_on(answer_asleep, shared.calls[cpu], cpu)


def call_nowhere() -> Program[None]:
    yield irq_work_queue_on(answer, shared.calls[0], 2)


def on_each_cpu() -> Program[int]:
    for cpu in range(2):
        yield from csd_lock(shared.calls[cpu])
        yield irq_work_queue_on(answer, shared.calls[cpu], cpu)
    for cpu in range(2):
        yield from csd_lock_wait(shared.calls[cpu])
    return 1


def raise_flag() -> Program[None]:
    yield write_once(shared.flag, 1)


def irqs_off_for_a_while() -> Program[None]:
    """Has interrupts off for a while."""
    flags = yield local_irq_save()
    yield read_once(shared.flag)
    yield local_irq_restore(flags)


def call_then_flag(cpu: int) -> Program[None]:
    """The CPU waits with interrupts off for what comes behind the call."""
    yield from call_and_look(cpu)
    yield write_once(shared.flag, 1)


def irqs_off_until_flag() -> Program[None]:
    flags = yield local_irq_save()
    while not (yield read_once(shared.flag)):
        yield cpu_relax()
    yield local_irq_restore(flags)


def offline() -> ContextSpec:
    return ContextSpec("offline", raise_flag, "offline", 1)


CASES = [
    Case("the wait", of(task(call_and_look, 0, 1)), of(task(call_and_not_wait, 0, 1)), "warning"),
    Case("a call of the own CPU", of(task(call_and_look, 1, 1)), of(task(call_and_not_wait, 1, 1)), "warning"),
    Case("a CPU that goes off line", of(task(call_and_look, 0, 1), offline()),
         of(task(call_without_asking, 0, 1), offline()), "deadlock"),
    Case("interrupts off", of(task(call_then_flag, 0, 1), task(irqs_off_for_a_while, 1)),
         of(task(call_then_flag, 0, 1), task(irqs_off_until_flag, 1)), "livelock"),
    Case("what a call may do", of(task(call_and_look, 0, 1), task(raise_flag, 1)),
         of(task(call_asleep, 0, 1), task(raise_flag, 1)), "sleep-in-atomic"),
    Case("the number of a CPU", of(task(call_and_look, None, 1)), beside(call_nowhere), "fault"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_call_runs_on_the_cpu_and_is_waited_for(case: Case) -> None:
    case.hold()


@pytest.mark.parametrize("reduce", [False, True], ids=["plain", "reduced"])
@pytest.mark.parametrize("cpu", [0, None])
def test_each_cpu_is_called_once(cpu: int | None, reduce: bool) -> None:
    found = searched(of(task(on_each_cpu, cpu), task(irqs_off_for_a_while, 1)), reduce=reduce)
    assert found.violations == set()
    for words, _ in found.finals:
        calls = {address: value for address, value in words if address in {unit_word(n, slot.calls) for n in (0, 1)}}
        assert list(calls.values()) == [1, 1]
