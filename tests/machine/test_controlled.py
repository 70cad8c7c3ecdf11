from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.setting import FIRST_OBJECT, MIGRATE, OBJECT_WORDS, Setting, unit_word
from percpu_emu.lang.trace import Access
from percpu_emu.machine.controlled import Replayed, ReplayFailed, ScheduleError, crew, replay
from tests.explore.oracle import Model, Violated
from tests.machine import controlled_programs as p

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.lang.ops import ProgramFunction


# --- what a step is


def test_a_lost_update_word_by_word() -> None:
    run = replay(p.LOST_UPDATE, [0, 1, 0, 1])
    assert [(step.context, step.op, step.accesses) for step in run.steps] == [
        (0, "read_once", (Access(p.COUNTER, 0, 0),)),
        (1, "read_once", (Access(p.COUNTER, 0, 0),)),
        (0, "write_once", (Access(p.COUNTER, 0, 1, write=True),)),
        (1, "write_once", (Access(p.COUNTER, 1, 1, write=True),)),
    ]
    assert [(step.cpu, step.args, step.ended) for step in run.steps[2:]] == [
        (0, (p.COUNTER, 1), True),
        (1, (p.COUNTER, 1), True),
    ]
    assert [str(step.site).partition(" ")[0] for step in run.steps] == ["lose:1", "lose:1", "lose:2", "lose:2"]
    assert run.results == (1, 1)
    assert run.violation is None
    assert run.words[p.COUNTER] == 1
    assert p.COUNTER not in run.initial


def test_one_after_the_other_nothing_is_lost() -> None:
    assert replay(p.LOST_UPDATE, [0, 0, 1, 1]).words[p.COUNTER] == 2


def test_a_schedule_may_end_early_or_be_empty() -> None:
    assert replay(p.LOST_UPDATE, []).steps == []
    run = replay(p.LOST_UPDATE, [0, 0, 1])
    assert (run.results, run.words[p.COUNTER], run.steps[-1].result) == ((1, 0), 1, 1)


def test_constants_of_the_setting() -> None:
    setting = Setting(p.LOST_UPDATE.cpus, p.LOST_UPDATE.contexts, constants={"STEP": 5})
    assert replay(setting, [0, 0, 1, 1]).words[p.COUNTER] == 10


def test_a_per_cpu_pointer_is_an_address_and_a_callback_its_slot() -> None:
    run = replay(p.CALLBACK, [1, 1])
    assert run.steps[0].result == OBJECT_WORDS
    assert (run.steps[1].op, run.steps[1].args) == ("call_rcu", (2, OBJECT_WORDS))
    run = replay(p.READ_WHAT_IS_FREED, [0, 0])
    assert run.steps[1].args == (unit_word(0, OBJECT_WORDS),)
    assert run.steps[1].accesses == (Access(unit_word(0, OBJECT_WORDS), 0, 0),)
    assert run.initial[p.POINTER] == OBJECT_WORDS


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
    run = replay(setting, schedule)
    assert run.violation is not None
    assert run.violation.check == "use-after-free"
    assert run.violation.detail.startswith(who)
    assert "the page of region 0 is gone (SIGBUS)" in run.violation.detail
    assert run.violation.guilty == (len(schedule) - 2, len(schedule) - 1)
    trapped = run.steps[-1]
    assert (len(run.steps), trapped.op) == (len(schedule), op)
    assert trapped.accesses == (Access(address, 0, 0, write=op == "this_cpu_inc"),)


@pytest.mark.parametrize("cpu", [None, 1])
@pytest.mark.parametrize(
    ("program", "steps", "check", "words"),
    [
        (p.free_twice, 3, "double-free", "kfree by .* at free_twice:3 .*: object 0 was freed before"),
        (p.free_anything, 1, "wild-free", "0x200 was never allocated"),
        (p.read_null, 1, "wild-access", "0x0 is no address"),
        (p.read_beyond, 2, "wild-access", "object 0 has no word 1"),
        (p.read_never_allocated, 1, "wild-access", r"region 2 was never allocated \(SIGBUS\)"),
        (p.read_nowhere, 1, "wild-access", r"nothing was ever at 0x140000000 \(SIGSEGV\)"),
        (p.warn, 1, "warning", "warn_on by .* at warn:1"),
        (p.divide, 1, "fault", "ZeroDivisionError"),
    ],
)
def test_every_violation_is_named(
    program: ProgramFunction, steps: int, check: str, words: str, cpu: int | None
) -> None:
    run = replay(Setting(2, (p.task(program, cpu),)), [0] * steps)
    assert run.violation is not None
    assert run.violation.check == check
    assert re.search(words, run.violation.detail), run.violation.detail
    assert run.violation.guilty == ((1, 2) if check == "double-free" else (steps - 1,))
    assert len(run.steps) == steps


def test_a_per_cpu_access_without_a_cpu() -> None:
    run = replay(Setting(1, (p.task(p.count),)), [0, 0])
    assert run.violation is not None
    assert run.violation.check == "off-cpu"
    assert [step.op for step in run.steps] == ["ledger_add", "__this_cpu_read"]


def test_a_violation_of_the_setup_is_one_before_the_first_step() -> None:
    for setup, check in [(p.read_never_allocated, "wild-access"), (p.warn, "warning"), (p.wait_for_flag, "deadlock")]:
        run = replay(Setting(2, (p.task(p.count, 0),), setup), [0, 0])
        assert run.violation is not None
        assert (run.violation.check, run.violation.guilty, run.steps) == (check, (), [])


# --- RCU


def test_what_a_reader_holds_is_freed_when_it_has_left() -> None:
    run = replay(p.GRACE_PERIOD, [0, 0, 1, 1, 0, 0, 1, 1])
    assert run.violation is None
    assert [(step.op, step.waits_for) for step in run.steps if step.op == "synchronize_rcu"] == [
        ("synchronize_rcu", (0,)),
        ("synchronize_rcu", ()),
    ]
    with pytest.raises(ScheduleError, match="step 4: free_after_grace_period waits for update"):
        replay(p.GRACE_PERIOD, [0, 0, 1, 1, 1])


def test_a_callback_runs_when_the_reader_has_left() -> None:
    run = replay(p.CALLBACK, [0, 0, 1, 1, 1, 0, 0, 2, 1])
    assert run.violation is None
    assert [(step.context, step.cpu) for step in run.steps[-2:]] == [(2, 1), (1, 1)]
    assert [step.waits_for for step in run.steps[3:5]] == [(0,), (2,)]
    with pytest.raises(ScheduleError, match="step 5: callback slot 0 waits for update"):
        replay(p.CALLBACK, [0, 0, 1, 1, 1, 2])
    with pytest.raises(ScheduleError, match="step 7: free_by_callback waits for callback slot 0"):
        replay(p.CALLBACK, [0, 0, 1, 1, 1, 0, 0, 1])


def test_a_wait_for_a_word() -> None:
    setting = Setting(1, (p.task(p.wait_for_flag), p.task(p.set_flag, 0)))
    assert replay(setting, [1, 0]).steps[1].accesses == (Access(p.FLAG, 7, 7),)
    with pytest.raises(ScheduleError, match="waits until the word is 7, which is 0"):
        replay(setting, [0])


# --- interrupts, migration, CPUs that go


def test_an_interrupt_comes_between_and_its_task_waits() -> None:
    setting = Setting(1, (p.task(p.count, 0), p.event("interrupt", 0, p.count)))
    run = replay(setting, [0, 0, 1, 1, 1, 1, 0, 0])
    assert run.words[unit_word(0, p.SLOT)] == 1
    assert run.ledgers == {p.COUNTER: 2}
    with pytest.raises(ScheduleError, match="interrupt 0 is active on CPU 0"):
        replay(setting, [0, 0, 1, 0])
    with pytest.raises(ScheduleError, match="interrupt 0 has nothing to do"):
        replay(setting, [1, 1, 1, 1, 1])


def test_interrupts_and_preemption_can_be_kept_away() -> None:
    setting = Setting(1, (p.task(p.count_irqs_off, 0), p.event("interrupt", 0, p.count), p.task(p.count, 0)))
    with pytest.raises(ScheduleError, match="interrupts are off on CPU 0"):
        replay(setting, [0, 1])
    with pytest.raises(ScheduleError, match="count_irqs_off may not be preempted on CPU 0"):
        replay(setting, [0, 2])
    assert replay(setting, [0] * 6 + [1] * 4 + [2] * 4).words[unit_word(0, p.SLOT)] == 3


def test_a_task_goes_on_in_another_process_where_it_stopped() -> None:
    setting = Setting(3, (p.task(p.twice_here, 0, turns=2, migrates=3, arguments=("turn",)),))
    run = replay(setting, [0, 0 + MIGRATE * 3, 0, 0, 0, 0 + MIGRATE * 1, 0, 0])
    assert [(step.op, step.cpu) for step in run.steps] == [
        ("this_cpu_read", 0),
        ("migrate", 0),
        ("this_cpu_write", 2),
        ("smp_processor_id", 2),
        ("this_cpu_read", 2),
        ("migrate", 2),
        ("this_cpu_write", 0),
        ("smp_processor_id", 0),
    ]
    assert run.results == (1001,)
    assert {word: run.words[word] for word in run.words if word > 1 << 32} == {
        unit_word(0, p.SLOT): 20,
        unit_word(2, p.SLOT): 10,
    }
    with pytest.raises(ScheduleError, match="cannot move to CPU 3"):
        replay(setting, [0, MIGRATE * 4])
    with pytest.raises(ScheduleError, match="step 0: twice_here is not mid-turn"):
        replay(setting, [MIGRATE * 2])


@pytest.mark.parametrize("kind", ["offline", "kill"])
def test_a_cpu_goes_down_and_its_process_with_it(kind: str) -> None:
    setting = Setting(2, (p.task(p.count, 0, turns=2), p.event(kind, 0, p.fold)))  # type: ignore[arg-type]
    run = replay(setting, [0, 0, 0, 0, 1, 1, 1, 1])
    gone = run.steps[4]
    assert (gone.op, gone.args, gone.cpu, gone.site) == (kind, (0,), None, None)
    assert gone.accesses == (Access(CPU_ONLINE_MASK, 3, 2, write=True),)
    assert run.steps[5].accesses == ()
    with pytest.raises(ScheduleError, match="step 5: count has nothing to do"):
        replay(setting, [0, 0, 0, 0, 1, 0])


def test_offline_waits_for_the_end_of_the_turn_and_kill_does_not() -> None:
    kinds = ("offline", "kill")
    setting = Setting(2, (p.task(p.count, 0), *(p.event(kind, 0, p.fold) for kind in kinds)))  # type: ignore[arg-type]
    with pytest.raises(ScheduleError, match="count is mid-turn on CPU 0"):
        replay(setting, [0, 0, 1])
    assert replay(setting, [0, 0, 2]).ledgers == {}


# --- the same every time, and the same as the oracle


def by_chance(setting: Setting, seed: int) -> tuple[list[int], Model, str | None]:
    """A schedule, where it leads to by the oracle, and which check fails there."""
    chance, model, schedule = random.Random(seed), Model(setting), list[int]()
    try:
        while (choices := model.enabled()) and chance.random() > 0.02:
            schedule.append(chance.choice(choices))
            model.step(schedule[-1])
    except Violated as violated:
        return schedule, model, violated.check
    return schedule, model, None


@pytest.mark.parametrize("setting", p.BUSY, ids=["rcu", "migration", "kill", "offline"])
def test_real_processes_come_to_what_the_oracle_says(setting: Setting) -> None:
    for seed in range(30):
        schedule, model, check = by_chance(setting, seed)
        run = replay(setting, schedule)
        assert (run.violation.check if run.violation else None) == check, schedule
        assert [step.context for step in run.steps] == [choice % MIGRATE for choice in schedule]
        if check is None:
            assert (run.words, run.results, run.ledgers) == (model.words(), model.results(), model.ledger), schedule


@pytest.mark.parametrize("setting", p.BUSY, ids=["rcu", "migration", "kill", "offline"])
def test_what_the_oracle_does_not_allow_is_refused(setting: Setting) -> None:
    count = len(setting.contexts)
    every = [*range(count + 8), *(n + MIGRATE * (1 + cpu) for n in range(count) for cpu in range(setting.cpus))]
    for seed in range(10):
        schedule, model, check = by_chance(setting, seed)
        if check is None:
            wrong = random.Random(seed).choice(sorted(set(every) - set(model.enabled())))
            with pytest.raises(ScheduleError) as refused:
                replay(setting, [*schedule, wrong])
            assert refused.value.index == len(schedule)


def test_a_hundred_replays_are_one() -> None:
    schedule, _, check = by_chance(p.BUSY[2], 5)
    assert check is None
    runs = [replay(p.BUSY[2], schedule) for _ in range(100)]
    assert all(timeless(run) == timeless(runs[0]) for run in runs)


def timeless(run: Replayed) -> tuple[object, ...]:
    return run.steps, run.violation, run.initial, run.results, run.words, run.ledgers


# --- when things go wrong


@pytest.mark.parametrize("schedule", [[9], [64], [0, 0, 0], [-1], [1000000], [0, 10]])
def test_an_impossible_choice_is_refused_and_leaves_nothing(schedule: list[int]) -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(ScheduleError) as refused:
        replay(p.LOST_UPDATE, schedule)
    assert refused.value.index == len(schedule) - 1
    assert os.sched_getaffinity(0) == before


def children() -> list[int]:
    return [int(pid) for listed in Path("/proc/self/task").glob("*/children") for pid in listed.read_text().split()]


def while_it_runs(act: Callable[[], None]) -> None:
    """Replay something long, and do `act` meanwhile."""
    setting = Setting(2, (p.task(p.count_for_ever, 0), p.task(p.count_for_ever, 1)))

    def later() -> None:
        while len(children()) < 3:
            time.sleep(0.01)
        time.sleep(0.3)
        act()

    thread = threading.Thread(target=later)
    thread.start()
    try:
        replay(setting, [0, 1] * 500_000)
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


def test_a_signal_at_any_moment_leaves_nothing() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for moment in range(1, 60):
            signal.setitimer(signal.ITIMER_REAL, moment / 1000)
            try:
                replay(p.BUSY[3], [0, 0, 0])
                while signal.getitimer(signal.ITIMER_REAL)[0]:
                    pass
            except KeyboardInterrupt:
                interrupted += 1
            assert children() == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 59


def test_a_program_that_computes_for_ever_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "STANDSTILL_SECONDS", 1.5)
    with pytest.raises(ReplayFailed, match="step 0 was not done"):
        replay(Setting(1, (p.task(p.compute_for_ever, 0, arguments=(p.FLAG,)),)), [0, 0])


DEBUGGED = """
from percpu_emu.machine.controlled import replay
from tests.machine.controlled_programs import LOST_UPDATE
print(replay(LOST_UPDATE, [0, 1, 0, 1], debug=True).results)
"""


def debugged(commands: str) -> str:
    call = [sys.executable, "-c", DEBUGGED]
    done = subprocess.run(call, input=commands, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_pdb_stops_inside_the_program_before_each_step() -> None:
    told = debugged("p word\nstep\nnext\np x, __import__('os').getpid()\ncontinue\n")
    assert "step 0: lose" in told
    assert f"(step) {p.COUNTER}" in told
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
    assert replay(Setting(1, (p.task(p.free_twice),)), [0]).steps[0].result == FIRST_OBJECT


def test_more_memory_than_a_controlled_run_has_is_told() -> None:
    setting = Setting(1, (p.task(p.kzalloc_for_ever),))
    with pytest.raises(ReplayFailed, match="32 objects of at most 4096 bytes: refused object 32 of 8 bytes"):
        replay(setting, [0] * 40)


def test_a_ninth_callback_is_a_fault() -> None:
    run = replay(Setting(1, (p.task(p.queue_for_ever),)), [0] * 9)
    assert run.violation is not None
    assert (run.violation.check, run.violation.guilty, len(run.steps)) == ("fault", (8,), 9)


def test_a_setting_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 16 CPUs"):
        replay(Setting(17, ()), [])


def test_the_benchmark_runs(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "replay.py"
    call = [sys.executable, str(script), "--json", "--steps", "200"]
    told = subprocess.run(call, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=100).stdout
    assert [row["cpus"] for row in json.loads(told)] == [2, 4]
