from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.setting import FIRST_OBJECT, MIGRATE, OBJECT_WORDS, Setting, unit_word
from percpu_emu.lang.source import sites
from percpu_emu.lang.trace import Access
from percpu_emu.replay import Plan, PlannedStep, Replayed, ReplayFailed, crew, replay
from percpu_emu.scenario.replaying import plan_of, plan_of_schedule
from tests import programs as common
from tests.replay import programs as p
from tests.replay.schedules import drawn, run, taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.lang.ops import ProgramFunction


# --- what a step is


def test_a_lost_update_word_by_word() -> None:
    done = run(p.LOST_UPDATE, [0, 1, 0, 1])
    assert [(step.context, step.op, step.accesses) for step in done.steps] == [
        (0, "read_once", (Access(common.COUNTER, 0, 0),)),
        (1, "read_once", (Access(common.COUNTER, 0, 0),)),
        (0, "write_once", (Access(common.COUNTER, 0, 1, write=True),)),
        (1, "write_once", (Access(common.COUNTER, 1, 1, write=True),)),
    ]
    assert [(step.cpu, step.args, step.ended) for step in done.steps[2:]] == [
        (0, (common.COUNTER, 1), True),
        (1, (common.COUNTER, 1), True),
    ]
    assert [str(step.site).partition(" ")[0] for step in done.steps] == ["lose:1", "lose:1", "lose:2", "lose:2"]
    assert done.results == (1, 1)
    assert done.violation is None
    assert done.words[common.COUNTER] == 1
    assert common.COUNTER not in done.initial


def test_one_after_the_other_nothing_is_lost() -> None:
    assert run(p.LOST_UPDATE, [0, 0, 1, 1]).words[common.COUNTER] == 2


def test_a_schedule_may_end_early_or_be_empty() -> None:
    assert run(p.LOST_UPDATE, []).steps == []
    done = run(p.LOST_UPDATE, [0, 0, 1])
    assert (done.results, done.words[common.COUNTER], done.steps[-1].result) == ((1, 0), 1, 1)


def test_constants_of_the_setting() -> None:
    setting = Setting(p.LOST_UPDATE.cpus, p.LOST_UPDATE.contexts, constants={"STEP": 5})
    assert run(setting, [0, 0, 1, 1]).words[common.COUNTER] == 10


def test_a_per_cpu_pointer_is_an_address_and_a_callback_its_slot() -> None:
    done = run(p.CALLBACK, [1, 1])
    assert done.steps[0].result == OBJECT_WORDS
    assert (done.steps[1].op, done.steps[1].args) == ("call_rcu", (2, OBJECT_WORDS))
    done = run(p.READ_WHAT_IS_FREED, [0, 0])
    assert done.steps[1].args == (unit_word(0, OBJECT_WORDS),)
    assert done.steps[1].accesses == (Access(unit_word(0, OBJECT_WORDS), 0, 0),)
    assert done.initial[common.POINTER] == OBJECT_WORDS


# --- what is not there


@pytest.mark.parametrize(
    ("setting", "schedule", "op", "address", "who"),
    [
        (p.READ_WHAT_IS_FREED, [0, 1, 1, 0], "read_once", unit_word(0, OBJECT_WORDS), "read_once by CPU 0 at look:2"),
        (
            p.WRITE_WHAT_IS_FREED,
            [0, 0, 1, 1, 0],
            "this_cpu_inc",
            unit_word(0, OBJECT_WORDS + 1),
            "this_cpu_inc by CPU 0",
        ),
    ],
)
def test_the_hardware_catches_a_use_after_free(
    setting: Setting, schedule: list[int], op: str, address: int, who: str
) -> None:
    done = run(setting, schedule)
    assert done.violation is not None
    assert done.violation.check == "use-after-free"
    assert done.violation.detail.startswith(who)
    assert "the page of area 0 is gone (SIGBUS)" in done.violation.detail
    assert done.violation.guilty == (len(schedule) - 2, len(schedule) - 1)
    trapped = done.steps[-1]
    assert (len(done.steps), trapped.op) == (len(schedule), op)
    assert trapped.accesses == (Access(address, 0, 0, write=op == "this_cpu_inc"),)


@pytest.mark.parametrize("cpu", [None, 1])
@pytest.mark.parametrize(
    ("program", "steps", "check", "words"),
    [
        (common.free_twice, 3, "double-free", "kfree by .* at free_twice:3 .*: object 0 was freed before"),
        (p.free_anything, 1, "wild-free", "0x200 was never allocated"),
        (common.read_null, 1, "wild-access", r"nothing was ever at 0x0 \(SIGSEGV\)"),
        (p.read_low, 1, "wild-access", r"nothing was ever at 0x8 \(SIGSEGV\)"),
        (p.read_behind_static, 1, "wild-access", r"nothing was ever at 0x11400 \(SIGSEGV\)"),
        (p.read_minus_one, 1, "wild-access", "-0x1 is not an address"),
        (
            common.read_beyond,
            2,
            "wild-access",
            "the page has room here, object 0 ends at byte 8: hardware cannot trap this",
        ),
        (p.write_beyond, 2, "wild-access", "area 0 ends at byte 12: hardware cannot trap this"),
        (p.read_beyond_freed, 3, "wild-access", r"the page of object 0 is gone \(SIGBUS\), and it ended at byte 8"),
        (p.read_freed, 3, "use-after-free", r"the page of object 0 is gone \(SIGBUS\)"),
        (p.read_next_object, 2, "wild-access", r"nothing was ever at 0x40200 \(SIGSEGV\)"),
        (p.read_never_allocated, 1, "wild-access", r"nothing was ever at 0x200000600 \(SIGSEGV\)"),
        (p.read_nowhere, 1, "wild-access", r"nothing was ever at 0x140000000 \(SIGSEGV\)"),
        (common.warn, 1, "warning", "warn_on by .* at warn:1"),
        (common.divide, 1, "fault", "ZeroDivisionError"),
        (p.allocate_nothing, 1, "fault", "an object of the model has 1 to 4096 bytes, not 0"),
        (p.allocate_much, 1, "fault", "an object of the model has 1 to 4096 bytes, not 4097"),
        (p.note_too_many, 4, "fault", "an update notes at most 3 counters"),
    ],
)
def test_every_violation_is_named(
    program: ProgramFunction, steps: int, check: str, words: str, cpu: int | None
) -> None:
    done = run(Setting(2, (p.task(program, cpu),)), [0] * steps)
    assert done.violation is not None
    assert done.violation.check == check
    assert re.search(words, done.violation.detail), done.violation.detail
    blamed = (1, 2) if program in (common.free_twice, p.read_freed, p.read_beyond_freed) else (steps - 1,)
    assert done.violation.guilty == blamed
    assert done.difference is None
    assert len(done.steps) == steps


def test_a_per_cpu_access_without_a_cpu() -> None:
    done = run(Setting(1, (p.task(common.count_raw),)), [0, 0])
    assert done.violation is not None
    assert done.violation.check == "off-cpu"
    assert [step.op for step in done.steps] == ["ledger_add", "__this_cpu_read"]


def test_what_would_have_been_written_beyond_the_end_is_not() -> None:
    done = run(Setting(2, (p.task(p.write_beyond, 1),)), [0, 0])
    assert {word for word in done.words if word >> 32} == set()
    assert done.steps[-1].accesses == (Access(unit_word(1, OBJECT_WORDS + 2), 0, 0, write=True),)


def test_a_violation_of_the_setup_is_one_before_the_first_step() -> None:
    for setup, check in [(p.read_never_allocated, "wild-access"), (common.warn, "warning")]:
        done = replay(Setting(2, (p.task(common.count_raw, 0),), setup), Plan(()))
        assert done.violation is not None
        assert (done.violation.check, done.violation.guilty, done.steps) == (check, (), [])
    with pytest.raises(ReplayFailed, match="a word that is 0, and waits until it is 7"):
        replay(Setting(2, (p.task(common.count_raw, 0),), p.wait_for_flag), Plan(()))


# --- what the plan says is done, and nothing is decided here


def test_a_wait_for_readers_is_begun_and_ended_in_two_steps() -> None:
    done = run(p.GRACE_PERIOD, [0, 0, 1, 1, 0, 0, 1, 1])
    assert done.violation is None
    assert [(step.op, step.waits_for) for step in done.steps if step.op == "synchronize_rcu"] == [
        ("synchronize_rcu", (0,)),
        ("synchronize_rcu", ()),
    ]


def test_a_callback_runs_in_the_slot_and_on_the_cpu_of_the_plan() -> None:
    done = run(p.CALLBACK, [0, 0, 1, 1, 1, 0, 0, 2, 1])
    assert done.violation is None
    assert [(step.context, step.cpu) for step in done.steps[-2:]] == [(2, 1), (1, 1)]
    assert [step.waits_for for step in done.steps[3:5]] == [(0,), (2,)]


def test_a_wait_for_a_word() -> None:
    setting = Setting(1, (p.task(p.wait_for_flag), p.task(p.set_flag, 0)))
    assert run(setting, [1, 0]).steps[1].accesses == (Access(common.FLAG, 7, 7),)


def test_an_interrupt_comes_between() -> None:
    setting = Setting(1, (p.task(common.count_raw, 0), p.event("interrupt", 0, common.count_raw)))
    done = run(setting, [0, 0, 1, 1, 1, 1, 0, 0])
    assert done.words[unit_word(0, common.SLOT)] == 1
    assert done.ledgers == {common.COUNTER: 2}


def test_whether_interrupts_are_off_is_each_context_s_own() -> None:
    setting = Setting(1, (p.task(p.save_twice, 0), p.task(p.save_twice), p.task(p.save_twice)))
    assert run(setting, [0] * 4 + [1] * 4 + [2] * 4).results == (1, 1, 1)
    assert run(setting, [1, 2, 1, 2, 1, 2, 1, 2]).results == (0, 1, 1)


def test_a_task_goes_on_in_another_process_where_it_stopped() -> None:
    setting = Setting(3, (p.task(p.twice_here, 0, turns=2, migrates=3, arguments=("turn",)),))
    done = run(setting, [0, 0 + MIGRATE * 3, 0, 0, 0, 0 + MIGRATE * 1, 0, 0])
    assert [(step.op, step.cpu) for step in done.steps] == [
        ("this_cpu_read", 0),
        ("migrate", 0),
        ("this_cpu_write", 2),
        ("smp_processor_id", 2),
        ("this_cpu_read", 2),
        ("migrate", 2),
        ("this_cpu_write", 0),
        ("smp_processor_id", 0),
    ]
    assert done.results == (1001,)
    assert {word: done.words[word] for word in done.words if word > 1 << 32} == {
        unit_word(0, common.SLOT): 20,
        unit_word(2, common.SLOT): 10,
    }


@pytest.mark.parametrize("kind", ["offline", "kill"])
def test_a_cpu_goes_down_and_its_process_with_it(kind: str) -> None:
    setting = Setting(2, (p.task(common.count_raw, 0, turns=2), p.event(kind, 0, p.fold)))  # type: ignore[arg-type]
    done = run(setting, [0, 0, 0, 0, 1, 1, 1, 1])
    gone = done.steps[4]
    assert (gone.op, gone.args, gone.cpu, gone.site) == (kind, (0,), None, None)
    assert gone.accesses == (Access(CPU_ONLINE_MASK, 3, 2, write=True),)
    assert done.steps[5].accesses == ()


def test_an_update_that_is_killed_enters_nothing() -> None:
    setting = Setting(2, (p.task(common.count_raw, 0), p.event("kill", 0, p.fold)))
    assert run(setting, [0, 0, 1]).ledgers == {}


def test_turns_without_an_operation_have_results() -> None:
    setting = Setting(
        1, (p.task(p.in_odd_turns, 0, turns=4, arguments=("turn",)), p.task(p.in_odd_turns, arguments=(2,)))
    )
    done = run(setting, [0, 0])
    assert [step.ended for step in done.steps] == [False, True]
    assert done.results == (13, 2)


@pytest.mark.parametrize("after", [-(1 << 63), -5, -2, -1, 0, 1, 2, 7, 63, 1 << 40, (1 << 63) - 1])
def test_the_next_cpu_from_any_start(after: int) -> None:
    setting = Setting(3, (p.task(common.next_cpu, 0, arguments=(after,)), p.event("kill", 1, p.set_flag)))
    for schedule, online in ([0], {0, 1, 2}), ([1, 0], {0, 2}):
        stepper = taken(setting, schedule)
        done = replay(setting, plan_of(stepper))
        assert done.steps == stepper.steps
        assert done.steps[-1].result == min((cpu for cpu in online if cpu > after), default=3)


def test_callbacks_that_queue_themselves_and_each_other() -> None:
    setting = Setting(2, (p.task(p.queue_again, 0), p.task(p.queue_each_other)))
    for seed in range(20):
        stepper = drawn(setting, seed)
        done = replay(setting, plan_of(stepper))
        assert done.steps == stepper.steps
    assert done.difference is None


def test_notes_that_were_not_entered_are_not_those_of_the_slot_s_next_program() -> None:
    done = run(Setting(1, (p.task(p.queue_notes),)), [0, 1, 1, 0, 1, 1])
    assert done.violation is None
    assert [step.context for step in done.steps] == [0, 1, 1, 0, 1, 1]


def test_as_many_callbacks_as_the_plan_has() -> None:
    done = run(Setting(1, (p.task(p.queue_many, arguments=(30,)),)), [0] * 30 + [1] + [30])
    assert [step.args[0] for step in done.steps[:30]] == list(range(1, 31))
    assert [step.op for step in done.steps[30:]] == ["free_percpu"] * 2


def test_as_many_objects_as_the_plan_has() -> None:
    setting = Setting(1, (p.task(p.kzalloc_many, arguments=(50,)),))
    assert run(setting, [0] * 50).steps[-1].result == FIRST_OBJECT + 49 * OBJECT_WORDS
    too_few = replace(plan_of_schedule(setting, [0] * 50), objects=49)
    with pytest.raises(ReplayFailed, match="the plan has 49 objects, and one more is asked for"):
        replay(setting, too_few)


# --- a plan that processes do not find


def wrong_plans() -> list[tuple[PlannedStep, str]]:
    """In place of the third of four steps: what stands there instead, and what is said of it."""
    read, write = sites(p.lose)
    return [
        (
            PlannedStep(0, 0, "read_once", read),
            "the model has read_once at lose:1 .*, the process write_once at lose:2",
        ),
        (PlannedStep(0, 0, "xchg", write, ended=True), "the model has xchg at lose:2 .*, the process write_once at"),
        (PlannedStep(0, 0, "write_once", write), "the model has write_once .*, the process the context's last step"),
    ]


@pytest.mark.parametrize(("step", "told"), wrong_plans())
def test_another_step_than_planned_is_told_and_not_done(step: PlannedStep, told: str) -> None:
    plan = plan_of_schedule(p.LOST_UPDATE, [0, 1, 0, 1])
    done = replay(p.LOST_UPDATE, replace(plan, steps=(*plan.steps[:2], step, plan.steps[3])))
    assert len(done.steps) == 2
    assert re.match("step 3 came out otherwise: " + told, str(done.difference))


def test_the_same_operation_at_another_place_is_told() -> None:
    plan = Plan((PlannedStep(0, 0, "local_irq_save", sites(p.save_twice)[1]),))
    done = replay(Setting(1, (p.task(p.save_twice, 0),)), plan)
    assert re.search("the model has .* at save_twice:2 .*, the process .* at save_twice:1 ", str(done.difference))


def test_a_plan_that_goes_on_behind_the_end_is_told() -> None:
    plan = plan_of_schedule(p.LOST_UPDATE, [0, 0])
    done = replay(p.LOST_UPDATE, replace(plan, steps=(*plan.steps, plan.steps[0])))
    assert str(done.difference).endswith("the process nothing: the program is over")


def test_a_word_that_is_not_what_the_plan_waits_for_is_told() -> None:
    setting = Setting(1, (p.task(p.wait_for_flag), p.task(p.set_flag, 0)))
    plan = plan_of_schedule(setting, [1, 0])
    done = replay(setting, replace(plan, steps=plan.steps[1:]))
    assert str(done.difference).endswith("the process wait_until of a word that is 0, and waits until it is 7")


# --- the same every time, and the same as the oracle


@pytest.mark.parametrize("setting", p.BUSY, ids=["rcu", "migration", "kill", "offline", "callbacks"])
def test_real_processes_come_to_what_the_model_says(setting: Setting) -> None:
    for seed in range(30):
        stepper = drawn(setting, seed)
        done = replay(setting, plan_of(stepper))
        assert done.difference is None, seed
        assert (done.violation.check if done.violation else "") == stepper.violated, seed
        if not stepper.violated:
            model = stepper.model
            assert done.steps == stepper.steps, seed
            assert done.words == model.words(stepper.state[: model.size]), seed
            assert done.results == model.results(stepper.state), seed
            assert done.ledgers == stepper.ledgers(), seed


def test_a_hundred_replays_are_one() -> None:
    stepper = drawn(p.BUSY[2], 5)
    assert stepper.violated == ""
    plan = plan_of(stepper)
    runs = [replay(p.BUSY[2], plan) for _ in range(100)]
    assert all(timeless(run) == timeless(runs[0]) for run in runs)


def timeless(run: Replayed) -> tuple[object, ...]:
    return run.steps, run.violation, run.initial, run.results, run.words, run.ledgers


# --- when things go wrong


def children() -> list[int]:
    return [int(pid) for listed in Path("/proc/self/task").glob("*/children") for pid in listed.read_text().split()]


def while_it_runs(act: Callable[[], None]) -> None:
    """Replay something long, and do `act` meanwhile."""
    setting = Setting(2, (p.task(p.count_for_ever, 0), p.task(p.count_for_ever, 1)))
    steps = [PlannedStep(cpu, cpu, "this_cpu_inc", sites(p.count_for_ever)[0]) for cpu in (0, 1)]

    def later() -> None:
        while len(children()) < 3:
            time.sleep(0.01)
        time.sleep(0.3)
        act()

    thread = threading.Thread(target=later)
    thread.start()
    try:
        replay(setting, Plan((*steps,) * 500_000))
    finally:
        thread.join()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_process_killed_from_outside_is_reported(which: int) -> None:
    name = ["CPU 0", "CPU 1", "the coordinator"][which]
    with pytest.raises(ReplayFailed, match=f"the process of {name} was ended by signal 9 at step"):
        while_it_runs(lambda: os.kill(sorted(children())[which], signal.SIGKILL))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_caller_leaves_nothing(number: signal.Signals) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            while_it_runs(lambda: os.kill(os.getpid(), number))
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.filterwarnings("ignore:Exception ignored in. <function WeakSet:pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_moment_leaves_nothing() -> None:
    """Python drops what a handler raises while a weak reference is cleared: such a moment is tried again."""
    came: list[int] = []

    def interrupt(*_: object) -> None:
        came.append(moment)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted, plan = set[int](), plan_of_schedule(p.BUSY[3], [0, 0, 0])
    try:
        for moment in [each for each in range(1, 60) for _ in range(3)]:
            if moment in interrupted:
                continue
            came.clear()
            try:
                signal.setitimer(signal.ITIMER_REAL, moment / 1000)
                replay(p.BUSY[3], plan)
                while not came:  # it may be on its way when the timer has run out
                    time.sleep(0.001)
            except KeyboardInterrupt:
                interrupted.add(moment)
            assert children() == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted == set(range(1, 60))


def test_a_program_that_computes_for_ever_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "STANDSTILL_SECONDS", 1.5)
    setting = Setting(1, (p.task(p.compute_for_ever, 0, arguments=(common.FLAG,)),))
    plan = Plan((PlannedStep(0, 0, "read_once", sites(p.compute_for_ever)[0]),))
    with pytest.raises(ReplayFailed, match="step 0 was not done"):
        replay(setting, plan)


DEBUGGED = """
from percpu_emu.replay import replay
from percpu_emu.scenario.replaying import plan_of_schedule
from tests.replay.programs import LOST_UPDATE
print(replay(LOST_UPDATE, plan_of_schedule(LOST_UPDATE, [0, 1, 0, 1]), debug=True).results)
"""


def debugged(commands: str) -> str:
    call = [sys.executable, "-c", DEBUGGED]
    done = subprocess.run(call, input=commands, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_pdb_stops_inside_the_program_before_each_step() -> None:
    told = debugged("p word\nstep\nnext\np x, __import__('os').getpid()\ncontinue\n")
    assert "step 0: lose" in told
    assert f"(step) {common.COUNTER}" in told
    assert "-> x = yield read_once(word)" in told
    assert "step 2: lose" in told
    assert "-> yield write_once(word, x + STEP)" in told
    assert told.count("(step)") == 5
    assert "(1, 1)" in told


def test_pdb_goes_on_to_a_breakpoint_and_quits() -> None:
    line = p.lose.__code__.co_firstlineno + 2
    told = debugged(f"b {p.__file__}:{line}\ncontinue\nquit\n")
    assert "step 2: lose" in told
    assert "step 1: lose" not in told
    assert "ended in the debugger" in told


def test_objects_are_where_the_rules_say() -> None:
    assert run(Setting(1, (p.task(common.free_twice),)), [0]).steps[0].result == FIRST_OBJECT


def test_a_setting_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 16 CPUs"):
        replay(Setting(17, ()), Plan(()))


def test_the_benchmark_runs(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "replay.py"
    call = [sys.executable, str(script), "--json", "--steps", "200"]
    told = subprocess.run(call, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=100).stdout
    assert [row["cpus"] for row in json.loads(told)] == [2, 4]
