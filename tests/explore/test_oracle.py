"""The oracle itself, on settings small enough to know what comes out."""

from __future__ import annotations

import pytest

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_POSSIBLE_MASK
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    call_rcu,
    free_percpu,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    mark,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.setting import FIRST_OBJECT, MIGRATE, OBJECT_WORDS, ContextSpec, Setting, unit_word
from tests.programs import (
    COUNTER,
    SLOT,
    SLOTS,
    count_raw,
    counter,
    divide,
    free_after_grace_period,
    free_at_once,
    free_by_callback,
    free_slots,
    free_twice,
    increment,
    leave_object,
    publish,
    raise_flag,
    read_beyond,
    read_null,
    read_then_write,
    synchronize_inside,
    update,
    wait_for_flag,
    warn,
)

from .oracle import Checks, Model, TooMany, Violated, check_end, enumerate_schedules, reachable


def task(program: ProgramFunction, cpu: int | None = None, **more: object) -> ContextSpec:
    return ContextSpec(program.__name__, program, cpu=cpu, **more)  # type: ignore[arg-type]


def setting(*contexts: ContextSpec, cpus: int = 2, setup: ProgramFunction | None = None) -> Setting:
    return Setting(cpus, contexts, setup)


def three_marks() -> Program[None]:
    yield mark("1")
    yield mark("2")
    yield mark("3")


def test_two_independent_tasks_of_three_steps_have_twenty_schedules() -> None:
    outcome = enumerate_schedules(setting(task(three_marks), task(three_marks)))
    assert (outcome.schedules, outcome.violations, len(outcome.finals)) == (20, set(), 1)


def test_too_many_schedules_are_refused() -> None:
    with pytest.raises(TooMany):
        enumerate_schedules(setting(task(three_marks), task(three_marks)), max_schedules=19)


def test_a_lost_update_is_found() -> None:
    two = setting(task(read_then_write, 0), task(read_then_write, 1))
    assert enumerate_schedules(two, total=counter).violations == {"lost-count"}
    one = setting(task(read_then_write, 0, turns=2))
    assert enumerate_schedules(one, total=counter).violations == set()


# --- RCU


@pytest.mark.parametrize("cpu", [None, 0, 1])
@pytest.mark.parametrize(
    ("free", "violations"),
    [(free_at_once, {"use-after-free", "early-free"}), (free_after_grace_period, set()), (free_by_callback, set())],
)
def test_what_readers_may_hold_is_freed_after_a_grace_period(
    free: ProgramFunction, violations: set[str], cpu: int | None
) -> None:
    both = setting(task(update, 1), task(free, cpu), setup=publish)
    # On the reader's own CPU nothing comes between: a section is not preempted.
    expected = violations if cpu != 1 else set()
    assert enumerate_schedules(both, left=0).violations == expected
    assert reachable(both, left=0).violations == expected


def test_a_reader_that_waits_for_readers_waits_for_ever() -> None:
    assert enumerate_schedules(setting(task(synchronize_inside))).violations == {"deadlock"}


def test_a_wait_for_a_word() -> None:
    assert enumerate_schedules(setting(task(wait_for_flag))).violations == {"deadlock"}
    outcome = enumerate_schedules(setting(task(wait_for_flag), task(raise_flag)))
    assert (outcome.schedules, outcome.violations) == (1, set())


def test_a_wait_for_rcu_takes_two_steps() -> None:
    model = Model(setting(task(update, 0), task(free_after_grace_period), setup=publish))
    for choice in (0, 1, 1, 1):
        model.step(choice)
    assert model.enabled() == [0]  # the reader it has to wait for
    model.step(0)  # the pointer is NULL
    model.step(0)
    assert model.enabled() == [1]
    model.step(1)
    assert not model.finished()
    model.step(1)
    assert model.finished()


# --- interrupts, preemption, migration


def raw_add_irqs_off() -> Program[None]:
    flags = yield local_irq_save()
    yield from count_raw()
    yield local_irq_restore(flags)


def raw_add_preempt_off() -> Program[None]:
    yield preempt_disable()
    yield from count_raw()
    yield preempt_enable()


def whole_add() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield this_cpu_add(SLOT, 1)
    yield ledger_commit()


def slots_sum(word: int) -> Program[int]:
    return (yield read_once(word)) + (yield from percpu_sum(SLOT, 0, CPU_POSSIBLE_MASK))


@pytest.mark.parametrize(
    ("program", "lost"), [(count_raw, {"lost-count"}), (raw_add_irqs_off, set()), (whole_add, set())]
)
def test_an_interrupt_between_read_and_write(program: ProgramFunction, lost: set[str]) -> None:
    both = setting(task(program, 0), ContextSpec("interrupt", whole_add, "interrupt", 0))
    outcome = enumerate_schedules(both, total=slots_sum)
    assert outcome.violations == lost


def test_an_interrupt_may_stay_away_and_runs_as_a_whole() -> None:
    interrupt = ContextSpec("interrupt", three_marks, "interrupt", 0)
    outcome = enumerate_schedules(setting(task(three_marks, 0), interrupt))
    assert outcome.schedules == 4  # before each step, or after the last
    assert enumerate_schedules(setting(task(three_marks, 1), interrupt)).schedules == 20


@pytest.mark.parametrize(
    ("program", "lost"), [(count_raw, {"lost-count"}), (raw_add_preempt_off, set()), (whole_add, set())]
)
def test_a_migration_between_read_and_write(program: ProgramFunction, lost: set[str]) -> None:
    both = setting(task(program, 0, migrates=1), task(whole_add, 1, turns=2))
    outcome = enumerate_schedules(both, total=slots_sum)
    assert "lost-count" in outcome.violations if lost else outcome.violations == set()


def test_a_task_moves_between_its_first_step_and_its_last() -> None:
    model = Model(setting(task(three_marks, 0, migrates=1)))
    assert model.enabled() == [0]
    model.step(0)
    assert model.enabled() == [0, MIGRATE * 2]
    model.step(MIGRATE * 2)
    assert model.enabled() == [0]


# --- CPUs that go down, callbacks


def test_a_cpu_goes_down_between_turns_and_dies_at_any_moment() -> None:
    down = {"offline": 0, "kill": 0}
    for kind in down:
        context = ContextSpec("down", raise_flag, kind, 0)  # type: ignore[arg-type]
        down[kind] = enumerate_schedules(setting(task(three_marks, 0), context)).schedules
    # Before the first step and after the last; killed after the first or second, too.
    assert down == {"offline": 2, "kill": 4}


def test_what_a_killed_context_noted_is_in_doubt() -> None:
    kill = ContextSpec("kill", raise_flag, "kill", 0)
    outcome = enumerate_schedules(setting(task(whole_add, 0), kill), total=slots_sum)
    assert outcome.violations == set()


def queue_both() -> Program[None]:
    yield rcu_read_lock()
    yield call_rcu(free_slots, 0)
    yield queue_work(free_slots, 0)
    yield rcu_read_unlock()


def test_callbacks_wait_and_work_does_not() -> None:
    model = Model(setting(task(queue_both)))
    for _ in range(3):
        model.step(0)
    assert model.enabled() == [0, 2]
    model.step(0)
    assert model.enabled() == [1, 2]
    model.step(1)
    model.step(2)
    assert model.finished()


# --- every other check


def free_anything() -> Program[None]:
    yield free_percpu(OBJECT_WORDS)


def note_four() -> Program[None]:
    for i in range(4):
        yield ledger_add(COUNTER + i, 1)


def count_down() -> Program[None]:
    yield write_once(COUNTER, -1)
    yield ledger_add(COUNTER, 0)
    yield ledger_commit()


def count_far() -> Program[None]:
    yield write_once(COUNTER, 1 << 31)
    yield ledger_add(COUNTER, 1 << 31)
    yield ledger_commit()


def count_twice() -> Program[None]:
    yield write_once(COUNTER, 2)
    yield ledger_add(COUNTER, 1)
    yield ledger_commit()


@pytest.mark.parametrize(
    ("program", "check"),
    [
        (leave_object, "leak"),
        (free_twice, "double-free"),
        (free_anything, "wild-free"),
        (read_null, "wild-access"),
        (read_beyond, "wild-access"),
        (warn, "warning"),
        (increment, "off-cpu"),
        (divide, "fault"),
        (note_four, "fault"),
        (count_down, "negative-counter"),
        (count_far, "wrapped-counter"),
        (count_twice, "doubled-count"),
    ],
)
def test_every_check_fires(program: ProgramFunction, check: str) -> None:
    outcome = enumerate_schedules(setting(task(program)), left=0, total=counter)
    assert outcome.violations == {check}
    model = Model(setting(task(program)), Checks(left=0, total=counter))
    with pytest.raises(Violated) as violated:  # noqa: PT012 - the steps up to it
        for choice in outcome.examples[check]:
            model.step(choice)
        check_end(model)
    assert violated.value.check == check


def remote_write() -> Program[None]:
    yield write_once(per_cpu(SLOT, 1), 1)


def test_only_a_cpu_itself_writes_its_slots_where_that_is_asked_for() -> None:
    for cpu, violations in ((None, {"remote-write"}), (0, {"remote-write"}), (1, set())):
        assert enumerate_schedules(setting(task(remote_write, cpu)), exclusive=True).violations == violations
        assert enumerate_schedules(setting(task(remote_write, cpu))).violations == set()


def hoard() -> Program[None]:
    """Nothing is ever moved to the twin."""
    yield ledger_add(COUNTER, 1)
    yield this_cpu_add(SLOT, 1)
    yield ledger_commit()


def test_a_twin_is_off_by_the_bound_and_no_more() -> None:
    for turns, violations in ((2, set()), (3, {"error-bound"})):
        both = setting(task(hoard, 0, turns=turns), task(hoard, 1, turns=2))
        assert reachable(both, total=slots_sum, bound=4).violations == violations


def test_addresses() -> None:
    model = Model(setting(task(increment, 1), task(leave_object), setup=publish))
    model.step(0)
    model.step(1)
    assert model.words()[SLOTS] == OBJECT_WORDS
    assert model.words()[unit_word(1, SLOT)] == 1
    assert model.memory.regions["object"][0].base == FIRST_OBJECT
