"""From a schedule to a plan, and what a replay says where processes and model do not agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from percpu_emu.explore.counterexample import tell_of
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import NotPossible
from percpu_emu.lang.setting import HALF, MIGRATE, OBJECT_WORDS, Setting
from percpu_emu.lang.source import sites
from percpu_emu.replay import Part, Plan, PlannedStep, replay
from percpu_emu.scenario.replaying import Replay, checks_of_replay, plan_of, plan_of_schedule
from tests import programs as common
from tests.replay import programs as p
from tests.replay.schedules import taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.lang.ops import ProgramFunction
    from percpu_emu.lang.trace import Step

IRQS_OFF = Setting(
    1, (p.task(p.count_irqs_off, 0), p.event("interrupt", 0, common.count_raw), p.task(common.count_raw, 0))
)
INTERRUPTED = Setting(1, (p.task(common.count_raw, 0), p.event("interrupt", 0, common.count_raw)))
WAITS = Setting(1, (p.task(p.wait_for_flag), p.task(p.set_flag, 0)))
MOVES = Setting(3, (p.task(p.twice_here, 0, migrates=3, arguments=(0,)),))
OFFLINE = Setting(2, (p.task(common.count_raw, 0), p.event("offline", 0, p.fold)))


@pytest.mark.parametrize(
    ("setting", "schedule", "reason"),
    [
        (p.LOST_UPDATE, [9], "step 0: there is no context 9"),
        (p.LOST_UPDATE, [-1], "step 0: there is no context -1"),
        (p.LOST_UPDATE, [0, 10], "step 1: there is no context 10"),
        (p.LOST_UPDATE, [1000000], "step 0: the next operation of lose is no allocation that may fail"),
        (p.LOST_UPDATE, [MIGRATE], "step 0: lose cannot move to CPU 0"),
        (p.LOST_UPDATE, [HALF], "step 0: the next operation of lose has no halves"),
        (p.LOST_UPDATE, [0, 0, 0], "step 2: lose cannot go on: over"),
        (p.GRACE_PERIOD, [0, 0, 1, 1, 1], "step 4: free_after_grace_period cannot go on: grace period, update"),
        (p.CALLBACK, [0, 0, 1, 1, 1, 2], "step 5: callback 0 cannot go on: grace period, update"),
        (p.CALLBACK, [0, 0, 1, 1, 1, 0, 0, 1], "step 7: free_by_callback cannot go on: callbacks, callback 0"),
        (WAITS, [0], "step 0: wait_for_flag cannot go on: word"),
        (INTERRUPTED, [0, 0, 1, 0], "step 3: count_raw cannot go on: interrupt, interrupt 0"),
        (IRQS_OFF, [0, 1], "step 1: interrupt 0 cannot go on: interrupts off"),
        (IRQS_OFF, [0, 2], "step 1: count_raw cannot go on: preemption off, count_irqs_off"),
        (MOVES, [0, MIGRATE * 4], "step 1: twice_here cannot move to CPU 3"),
        (OFFLINE, [0, 0, 1], "step 2: offline 0 cannot go on: mid-turn, count_raw"),
    ],
)
def test_a_choice_that_is_not_possible_is_refused_with_the_reason(
    setting: Setting, schedule: list[int], reason: str
) -> None:
    with pytest.raises(NotPossible, match=reason):
        plan_of_schedule(setting, schedule)


def test_a_plan_says_what_processes_cannot_know() -> None:
    plan = plan_of_schedule(p.CALLBACK, [0, 0, 1, 1, 1, 0, 0, 2, 1])
    assert [(step.part, step.queued, step.waits_for) for step in plan.steps if step.context == 1] == [
        (Part.WHOLE, -1, ()),
        (Part.WHOLE, 2, (0,)),
        (Part.REGISTER, -1, (2,)),
        (Part.WHOLE, -1, ()),
    ]
    assert (plan.steps[7].context, plan.steps[7].cpu, plan.steps[7].ended) == (2, 1, True)
    assert (plan.areas, plan.objects, plan.check) == (1, 0, "")


def test_each_wait_is_begun_for_itself() -> None:
    setting = Setting(2, (p.task(common.synchronize, 0), p.task(p.queue_waiting, 1), p.event("kill", 0, p.fold)))
    plan = plan_of_schedule(setting, [0, 2, 1, 1, 3, 3])
    assert [step.part for step in plan.steps if step.op == "synchronize_rcu"] == [Part.REGISTER] * 2 + [Part.WHOLE]


def test_a_wait_that_has_begun_goes_on_on_another_cpu() -> None:
    setting = Setting(2, (p.task(common.synchronize, 0, migrates=1),))
    done = replayed(setting, [0, 2 * MIGRATE, 0])
    assert told(done)[0][1]
    assert [(step.op, step.cpu, step.ended) for step in done.replayed.steps] == [
        ("synchronize_rcu", 0, False),
        ("migrate", 0, False),
        ("synchronize_rcu", 1, True),
    ]


def test_the_halves_of_a_read_modify_write_are_planned() -> None:
    setting = Setting(1, (p.task(common.increment, 0), p.task(p.set_flag)))
    assert [step.part for step in plan_of_schedule(setting, [HALF, 1, 0]).steps] == [Part.LOAD, Part.WHOLE, Part.STORE]


def replayed(setting: Setting, schedule: list[int], change: Callable[[Plan], Plan] = lambda plan: plan) -> Replay:
    stepper = taken(setting, schedule)
    subject, plan = Subject("it", setting), plan_of(stepper)
    return Replay(subject, tell_of(subject, stepper, schedule), plan, replay(setting, change(plan)))


def told(done: Replay) -> list[tuple[str, bool, str]]:
    return [(check.name, check.ok, check.detail) for check in checks_of_replay(done)]


def test_what_agrees_and_what_real_memory_shows() -> None:
    assert told(replayed(p.LOST_UPDATE, [0, 1, 0, 1])) == [
        ("the same on real processes", True, "4 steps: every value read and written agrees")
    ]
    same, trapped = told(replayed(p.READ_WHAT_IS_FREED, [0, 1, 1, 0]))
    assert same[1]
    assert trapped[:2] == ("use-after-free on real memory", True)


@pytest.mark.parametrize(
    "program",
    [common.free_twice, p.free_anything, common.read_null, common.read_beyond, common.warn, common.divide],
    ids=lambda program: program.__name__,
)
def test_a_violation_of_the_model_is_one_of_the_processes(program: ProgramFunction) -> None:
    stepper = taken(Setting(2, (p.task(program, 1),)), [])
    while stepper.choices():
        stepper.take(0)
    done = replayed(stepper.model.setting, [0] * len(stepper.steps))
    assert [(check, ok) for check, ok, _ in told(done)] == [
        ("the same on real processes", True),
        (f"{stepper.violated} on real memory", True),
    ]


@pytest.mark.parametrize("program", [common.unlock, common.lock, p.sleep_in_section, common.synchronize])
def test_a_violation_that_no_process_can_see_is_left_to_the_model(program: object) -> None:
    kind = "interrupt" if program is common.synchronize else "task"
    setting = Setting(1, (p.event(kind, 0, program),))  # type: ignore[arg-type]
    stepper = taken(setting, [])
    while stepper.choices():
        stepper.take(0)
    assert stepper.violated in ("unbalanced-section", "sleep-in-atomic")
    assert [ok for _, ok, _ in told(replayed(setting, [0] * len(stepper.steps)))] == [True]


def test_other_values_are_a_difference_with_both_sides() -> None:
    done = replayed(p.LOST_UPDATE, [0, 1, 0, 1], lambda plan: replace(plan, steps=tuple(swapped(plan.steps))))
    ((_, ok, detail),) = told(done)
    assert not ok
    assert detail.startswith("step 2 came out otherwise: the model has read_once(")
    assert ", the process write_once(" in detail


def swapped(steps: tuple[PlannedStep, ...]) -> list[PlannedStep]:
    return [steps[0], steps[2], steps[1], steps[3]]


def test_a_violation_that_the_processes_do_not_find_is_a_failure() -> None:
    read = PlannedStep(0, 0, "this_cpu_inc", sites(common.increment)[0], ended=True)
    done = replayed(Setting(1, (p.task(common.increment, 0),)), [0])
    claimed = replace(done, plan=Plan((read,), "use-after-free"))
    assert told(claimed)[1:] == [("use-after-free on real memory", False, "the processes did not find it")]


def test_a_value_is_told_apart() -> None:
    done = replayed(Setting(1, (p.task(common.increment, 0),)), [0])
    step: Step = replace(done.replayed.steps[0], result=5)
    wrong = replace(done, replayed=replace(done.replayed, steps=[step]))
    assert str(wrong.difference).endswith("which gives 5, the last step of its context")


def test_every_byte_of_an_area_is_there() -> None:
    setting = Setting(2, (p.task(p.fill_area, 1),))
    done = replayed(setting, [0, 0])
    assert told(done)[0][1]
    assert done.replayed.steps[1].args == (OBJECT_WORDS + 511, 5)
