"""What came into the search one by one, together: CPUs that go, sent interrupts, failing allocations, locks, checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from percpu_emu.explore import states
from percpu_emu.explore import store as s
from percpu_emu.explore.model import Model as EngineModel
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Search
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.explore.subject import After, Subject
from percpu_emu.explore.token import Token
from percpu_emu.kernel.hotplug import cpuhp_setup_states, prepare
from percpu_emu.kernel.layout import STATIC
from percpu_emu.kernel.locks import SpinLock, spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore
from percpu_emu.kernel.rcu_poll import poll_state_synchronize_rcu, start_poll_synchronize_rcu
from percpu_emu.kernel.smp import CallSingle, csd_lock, csd_lock_wait, csd_unlock
from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    cpu_relax,
    irq_work_queue_on,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_mb,
    takedown_cpu,
    wait_until,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.source import called, steps_by_name
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.exploration import checks_of, verdict
from percpu_emu.scenario.load import load
from percpu_emu.scenario.replaying import schedule_in
from percpu_emu.scenario.subjects import subject_of

from .oracle import reachable
from .searched import searched, task

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction
    from percpu_emu.lang.state import State

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Shared(Struct):
    call: CallSingle
    a: SpinLock
    b: SpinLock
    pointer: Word
    flag: Word
    end: Word
    count: Word


shared = Shared.at(STATIC)
SLOTS = STATIC + 64


# --- a note in doubt, and those that wait for callbacks


def notes(_: int) -> Program[None]:
    yield ledger_add(shared.count, 1)
    yield ledger_commit()


def sends_note_then_barrier() -> Program[None]:
    yield irq_work_queue_on(notes, 0, 1)
    yield rcu_barrier()


def queues_note() -> Program[None]:
    yield call_rcu(notes, 0)


def barrier() -> Program[None]:
    yield rcu_barrier()


def nothing() -> Program[None]:
    yield smp_mb()


@pytest.mark.parametrize("contexts", [(task(sends_note_then_barrier, 0),), (task(queues_note, 1), task(barrier, 0))])
def test_a_barrier_waits_for_no_callback_that_a_kill_has_ended(contexts: tuple[ContextSpec, ...]) -> None:
    setting = Setting(2, (*contexts, ContextSpec("kill", nothing, "kill", 1)))
    assert reachable(setting).violations == set()
    assert [searched(setting, reduce=reduce).violations for reduce in (False, True)] == [set(), set()]


# --- edges of the graph


@pytest.mark.parametrize("name", ["release-3x3", "one-work-queue-fixed", "srcu"])
def test_an_edge_is_there_once_and_none_is_left_out(name: str) -> None:
    subject = subject_of(load(name))

    def go(model: EngineModel) -> list[tuple[int, int, int]]:
        search = Search(model, reduce=True)
        search.run()
        assert search.store.numbers[s.EDGES] == len(states.choices(search.store))
        edges = np.stack([*states.edges(search.store), states.choices(search.store)], axis=1)
        return [tuple(edge) for edge in edges.tolist()]

    edges = with_room(subject.setting, subject.checks, go)
    assert len(edges) == len(set(edges))


# --- locks that queued programs take


def a_then_b(_: int) -> Program[None]:
    yield from spin_lock(shared.a)
    yield from spin_lock(shared.b)
    yield from spin_unlock(shared.b)
    yield from spin_unlock(shared.a)


def b_then_a(_: int) -> Program[None]:
    yield from spin_lock(shared.b)
    yield from spin_lock(shared.a)
    yield from spin_unlock(shared.a)
    yield from spin_unlock(shared.b)


def a_then_b_then_flag(_: int) -> Program[None]:
    yield from a_then_b(0)
    yield write_once(shared.flag, 1)


def and_goes_on(_: int) -> Program[None]:
    yield from a_then_b_then_flag(0)
    yield smp_mb()


def queues_one_after_the_other() -> Program[None]:
    yield queue_work(a_then_b_then_flag, 0)
    yield wait_until(shared.flag, 1)
    yield queue_work(b_then_a, 0)


def queues_while_the_other_goes_on() -> Program[None]:
    yield queue_work(and_goes_on, 0)
    yield wait_until(shared.flag, 1)
    yield queue_work(b_then_a, 0)


@pytest.mark.parametrize("program", [queues_one_after_the_other, queues_while_the_other_goes_on])
@pytest.mark.parametrize("reduce", [False, True])
def test_orders_of_queued_programs_do_not_depend_on_the_room_that_they_get(
    program: ProgramFunction, reduce: bool
) -> None:
    assert searched(Setting(2, (task(program, 0),)), reduce=reduce).violations == {"circular-wait"}


# --- wrong programs that combine two features, and the right ones


def lets_go(call: CallSingle) -> Program[None]:
    yield from csd_unlock(call)


def calls_cpu_1() -> Program[None]:
    """What `irq_work_queue_on` gives is not looked at."""
    yield from csd_lock(shared.call)
    yield irq_work_queue_on(lets_go, shared.call, 1)
    yield from csd_lock_wait(shared.call)


def calls_cpu_1_if_on_line() -> Program[None]:
    yield from csd_lock(shared.call)
    if not (yield irq_work_queue_on(lets_go, shared.call, 1)):
        yield from csd_unlock(shared.call)
    yield from csd_lock_wait(shared.call)


def takes_cpu_1_down() -> Program[None]:
    yield takedown_cpu(1)


def alloc_slot(cpu: int) -> Program[int]:
    yield write_once(SLOTS + cpu, (yield kzalloc(8)))
    return 0


def alloc_slot_or_fail(cpu: int) -> Program[int]:
    slot = yield kzalloc(8)
    yield write_once(SLOTS + cpu, slot)
    return 0 if slot else 12


def free_slot(cpu: int) -> Program[int]:
    yield kfree((yield xchg(SLOTS + cpu, 0)))
    return 0


any_up, any_down, _ = cpuhp_setup_states(prepare("slots", alloc_slot, free_slot))
full_up, full_down, _ = cpuhp_setup_states(prepare("slots", alloc_slot_or_fail, free_slot))


def comes_back_with_any() -> Program[None]:
    yield from any_down(1)
    yield from any_up(1)


def comes_back_with_slot() -> Program[None]:
    yield from full_down(1)
    yield from full_up(1)


def has_a_slot(state: State) -> str | None:
    return None if state.word(SLOTS + 1) else "CPU 1 is on line and has no slot"


def toggles_preemption() -> Program[None]:
    while not (yield read_once(shared.end)):
        yield preempt_disable()
        yield cpu_relax()
        yield preempt_enable()


def polls() -> Program[None]:
    while not (yield read_once(shared.end)):
        yield cpu_relax()


def ends() -> Program[None]:
    yield write_once(shared.end, 1)


def takes_a(_: int) -> Program[None]:
    yield from spin_lock(shared.a)
    yield from spin_unlock(shared.a)


def sends_takes_a() -> Program[None]:
    yield irq_work_queue_on(takes_a, 0, 1)


def holds_a() -> Program[None]:
    yield from takes_a(0)


def holds_a_with_interrupts_off() -> Program[None]:
    flags = yield from spin_lock_irqsave(shared.a)
    yield from spin_unlock_irqrestore(shared.a, flags)


def makes_object() -> Program[None]:
    yield write_once(shared.pointer, (yield kzalloc(8)))


def reads_object() -> Program[None]:
    yield rcu_read_lock()
    pointer = yield rcu_dereference(shared.pointer)
    if pointer:
        yield read_once(pointer)
    yield rcu_read_unlock()


def takes_cookie_early() -> Program[None]:
    yield preempt_disable()
    cookie = yield from start_poll_synchronize_rcu()
    old = yield xchg(shared.pointer, 0)
    yield preempt_enable()
    yield from frees_behind(cookie, old)


def takes_cookie_in_time() -> Program[None]:
    yield preempt_disable()
    old = yield xchg(shared.pointer, 0)
    cookie = yield from start_poll_synchronize_rcu()
    yield preempt_enable()
    yield from frees_behind(cookie, old)


def frees_behind(cookie: int, old: int) -> Program[None]:
    while not (yield from poll_state_synchronize_rcu(cookie)):
        yield cpu_relax()
    yield kfree(old)


def allocates_there(_: int) -> Program[None]:
    yield write_once(shared.pointer, (yield kzalloc(8)))


def sends_allocation() -> Program[None]:
    yield irq_work_queue_on(allocates_there, 0, 1)


def has_an_object(state: State) -> str | None:
    return None if state.at(shared).pointer else "there is no memory"


def subject(*contexts: ContextSpec, after: str = "", judge: Any = None, **how: Any) -> Subject:
    reached = [part for spec in contexts for part in called(spec.program, and_queued=True)]
    checks = (After(after, frozenset(steps_by_name(reached)[after]), judge),) if after else ()
    setting = Setting(2, contexts, how.pop("setup", None), allocations_fail=how.pop("fails", 0))
    return Subject("combined", setting, after=checks, **how)


GOES = task(takes_cpu_1_down)
SLOT = {"setup": comes_back_with_slot, "after": "bring_up:1", "judge": has_a_slot}
SENT = {"after": "allocates_there:write_once", "judge": has_an_object}
CASES = {
    "a call to a CPU that goes": (subject(task(calls_cpu_1, 0), GOES), "deadlock"),
    "and that looks whether it is there": (subject(task(calls_cpu_1_if_on_line, 0), GOES), ""),
    "memory that a startup does not get": (subject(task(comes_back_with_any), fails=1, **SLOT), "after"),
    "and that fails then": (subject(task(comes_back_with_slot), fails=1, **SLOT), ""),
    "a displaced task, and one that mostly keeps its CPU": (
        subject(task(toggles_preemption, 0), task(ends, 1), GOES, fair=True),
        "starvation",
    ),
    "and one that polls": (subject(task(polls, 0), task(ends, 1), GOES, fair=True), ""),
    "a lock of a sent interrupt, on another CPU that goes": (
        subject(task(sends_takes_a, 0), task(holds_a, 0), GOES),
        "circular-wait",
    ),
    "and with interrupts off": (subject(task(sends_takes_a, 0), task(holds_a_with_interrupts_off, 1), GOES), ""),
    "a cookie that is taken early on a CPU that goes": (
        subject(task(takes_cookie_early, 1), task(reads_object, 0), GOES, setup=makes_object),
        "use-after-free",
    ),
    "and in time": (subject(task(takes_cookie_in_time, 1), task(reads_object, 0), GOES, setup=makes_object), ""),
    "memory that a sent interrupt does not get": (subject(task(sends_allocation, 0), fails=1, **SENT), "after"),
    "and that never fails": (subject(task(sends_allocation, 0), **SENT), ""),
}
HOW = [Options(), Options(reduce=False), Options(strategy="preemptions")]


@pytest.mark.parametrize("name", CASES)
def test_each_search_finds_what_is_wrong_and_passes_what_is_not(name: str) -> None:
    case, check = CASES[name]
    for options in HOW:
        explored = explore(case, options)
        example = explored.counterexample
        assert (example.check if example else "", bool(explored.stopped)) == (check, False)
        assert verdict(explored, checks_of(explored)) == ("fail" if check else "pass")
        if example is not None and check != "starvation":  # its token has no end
            assert schedule_in(Token.parse(example.token), case).check == check


def test_a_step_of_an_interrupt_that_is_never_sent_leaves_its_check_not_judged() -> None:
    explored = explore(subject(task(sends_allocation, 0), setup=takes_cpu_1_down, **SENT), Options())
    assert explored.not_taken == ("allocates_there:write_once",)
    assert verdict(explored, checks_of(explored)) == "inconclusive"


@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_random_schedules_do_not_claim_to_have_looked_at_what_they_do_not(strategy: Any) -> None:
    case, _ = CASES["memory that a sent interrupt does not get"]
    explored = explore(case, Options(strategy=strategy, schedules=100))
    details = {check.name: (check.ok, check.detail) for check in checks_of(explored)}
    assert details["after"] == (None, "random schedules do not look at it")
    assert "100 random schedules" in " ".join(detail for _, detail in details.values())
