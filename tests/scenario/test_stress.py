"""Stress on real processes is not deterministic: what has to be found is looked for until it is, up to a limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from percpu_emu.cli.main import app
from percpu_emu.explore.model import SetupFailed
from percpu_emu.explore.token import Token
from percpu_emu.lang.source import sites
from percpu_emu.machine import EventStream
from percpu_emu.machine.recording import CALLBACK, Recorded
from percpu_emu.report.result import Report
from percpu_emu.scenario import stress
from percpu_emu.scenario.explaining import explain
from percpu_emu.scenario.load import Loaded, ScenarioError, load
from percpu_emu.scenario.replaying import schedule_in, subject_of_token
from percpu_emu.scenario.stress import StressResult, Violation, refuse_what_cannot_run, stress_scenario
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.shm.atomics import X86_64

TRIES = 6

pytestmark = pytest.mark.timeout(600)  # the first run of a scenario compiles its programs


def found(name: str, seconds: float = 10.0, *, record: bool = True) -> StressResult:
    result = None
    for seed in range(1, TRIES + 1):
        result = stress_scenario(load(name, {"seconds": seconds, "seed": seed}), EventStream(), record=record)
        if result.verdict == "fail":
            return result
    pytest.fail(f"{name}: no violation in {TRIES} times {seconds} s: {result and result.figures}")


def replayable(result: StressResult) -> str:
    """The check that the token of a result leads to in the virtual engine."""
    assert result.counterexample is not None, result.notes
    token = Token.parse(result.counterexample.token)
    return schedule_in(token, subject_of_token(token)).check


@pytest.mark.parametrize("record", [True, False])
def test_a_lost_count_is_found_natively_and_explained(record: bool) -> None:
    result = found("flush-then-swap", record=record)
    assert [check.name for check in result.checks if check.ok is False] == ["counts"]
    assert result.figures["violation"] == "lost-count"
    assert replayable(result) == "lost-count"
    assert any(note.startswith("schedule: ") for note in result.notes)


def test_a_counter_whose_ledger_comes_to_nothing_is_compared_too() -> None:
    result = found("unsigned-decrement", 2.0)
    assert result.figures["violation"] == "doubled-count"
    assert replayable(result) == "wrapped-counter"
    assert any("natively it was seen as doubled-count" in note for note in result.notes)


def test_the_fixed_version_passes() -> None:
    result = stress_scenario(load("release-in-order", {"seconds": 2.0}), EventStream(), record=False)
    assert (result.verdict, result.counterexample, result.notes) == ("pass", None, [])
    assert result.figures["rounds"] > 1
    assert 0 < result.figures["recorded_rounds"] < result.figures["rounds"]


def test_callbacks_objects_and_smaller_constants() -> None:
    """The batch is 1 by the scenario's constant, so two turns reach the atomic path; else it would take 33."""
    result = stress_scenario(load("release-3x3", {"seconds": 2.0}), EventStream(), record=True)
    assert result.verdict == "pass", (result.checks, result.notes)
    assert result.scope["constants"]["MEMCG_CHARGE_BATCH"] == 1


def test_what_the_model_cannot_explain_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the processor had done something that no interleaving does."""
    lost = Violation("lost-count", "total is 0, 1 were added: 1 lost")
    monkeypatch.setattr(stress, "_violations", lambda *_: [lost])
    loaded = load("release-in-order", {"seconds": 2.0})
    result = stress_scenario(loaded, EventStream(), record=True)
    assert (result.verdict, result.counterexample) == ("fail", None)
    assert result.figures["recorded_operations"] > 0
    [note] = result.notes
    assert note.startswith("schedule: none found: no interleaving of the model breaks a check")
    assert ("LOCKed instruction stands before every operation" in note) == X86_64
    assert "recorded operations. " in note


def test_it_is_said_when_a_violation_is_not_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([Violation("lost-count", "total is 0, 1 were added: 1 lost")])
    monkeypatch.setattr(stress, "_violations", lambda *_: [*seen])
    monkeypatch.setattr(stress, "AGAIN_SECONDS", 0.2)
    loaded = load("release-in-order", {"seconds": 0.5})
    result = stress_scenario(loaded, EventStream(), record=False)
    assert result.verdict == "fail"
    assert result.notes[0].startswith("it was not seen again in ")
    assert result.notes[1].startswith("schedule: none found: ")
    assert "Memory ordering is possible, and not proved" in result.notes[1]


@pytest.mark.parametrize(
    ("name", "check", "who"),
    [
        ("raw-add-interrupt", "lost-count", "interrupt charge_in_interrupt on CPU 0 +2"),
        ("raw-add-migration", "lost-count", "moving_charge on CPU 0 +1, charge on CPU 1 +1"),
        ("v3-h2-live-not-folded", "lost-count", "update on CPU 1 +1"),
        ("two-flushers", "use-after-free", "touched object 0, which was freed by release at release:1"),
        ("update-outside-section", "use-after-free", "touched per-CPU area 0, which was freed by release at release:4"),
        ("v3-h4-dangling-offlined", "use-after-free", "which was freed by a callback at flush_and_free:3"),
        ("ref-freed-under-callback", "use-after-free", "a callback at percpu_"),
        ("pointer-read-twice", "wild-access", "what was never allocated: NULL, near it, or beyond"),
    ],
)
def test_what_hardware_can_break_is_caught_with_the_evidence(name: str, check: str, who: str) -> None:
    """A scenario may break more than one check: it is tried until the one that is meant comes first."""
    others = list[Violation | None]()
    for seed in range(1, 4 * TRIES + 1):
        loaded = load(name, {"seed": seed})
        seen = stress.stress(loaded, subject_of(loaded), EventStream(), record_every=4, seconds=10.0)
        if seen.violation is not None and seen.violation.check == check:
            assert who in seen.violation.detail
            return
        others.append(seen.violation)
    pytest.fail(f"{name}: no {check}, but {others}")


@pytest.mark.parametrize(
    "name", ["raw-add-interrupt-fixed", "raw-add-migration-fixed", "v3-h4-dangling-offlined-fixed"]
)
def test_interrupts_moves_and_hotplug_do_no_harm_to_what_is_right(name: str) -> None:
    loaded = load(name)
    seen = stress.stress(loaded, subject_of(loaded), EventStream(), record_every=4, seconds=1.0)
    assert (seen.violation, seen.stuck) == (None, "")
    assert seen.rounds > 1


# --- from a recorded order to a schedule, without a machine


def recorded(loaded: Loaded, order: list[tuple[int, str, int]]) -> list[Recorded]:
    assert loaded.module is not None
    return [Recorded(context, sites(getattr(loaded.module, name))[number - 1]) for context, name, number in order]


RELEASE = [(1, "flush_then_swap_release", 1), (1, "flush", 1), (1, "flush", 1), (1, "flush", 2)]
UPDATE = [(0, "update", number) for number in (1, 2, 3, 4, 6, 7)]
REST = [(1, "flush_then_swap_release", number) for number in (2, 3, 4)]


def test_a_recorded_order_that_breaks_the_check_is_the_schedule() -> None:
    loaded = load("flush-then-swap")
    explanation = explain(subject_of(loaded), recorded(loaded, RELEASE + UPDATE + REST))
    assert explanation.note == "the recorded order itself breaks the check, 13 of 13 operations as recorded"
    assert explanation.counterexample is not None
    assert explanation.counterexample.check == "lost-count"


def test_it_is_searched_from_a_prefix_where_the_recorded_order_is_a_little_off() -> None:
    """The update was noted before the flush began, and took effect after it."""
    loaded = load("flush-then-swap")
    explanation = explain(subject_of(loaded), recorded(loaded, UPDATE[:3] + RELEASE + REST + UPDATE[3:]))
    assert explanation.counterexample is not None
    assert explanation.counterexample.check == "lost-count"
    harmless = explain(subject_of(loaded), recorded(loaded, UPDATE[:4] + RELEASE + UPDATE[4:] + REST))
    assert harmless.note.startswith("found by search from the ")
    assert harmless.counterexample is not None


def test_what_the_model_cannot_do_is_left_out() -> None:
    loaded = load("flush-then-swap")
    order = recorded(loaded, [*RELEASE, *UPDATE, (0, "update", 1), *REST])
    order.append(Recorded(CALLBACK, order[0].site))
    explanation = explain(subject_of(loaded), order)
    assert explanation.followed == len(order) - 2
    assert explanation.counterexample is not None


def test_without_anything_recorded_it_is_searched_from_the_start() -> None:
    explanation = explain(subject_of(load("flush-then-swap")), [])
    assert explanation.note == "found by search from the start, not from what was recorded"
    assert explain(subject_of(load("release-in-order")), []).counterexample is None


# --- what is refused, and the command


def test_what_cannot_be_stressed_is_refused() -> None:
    loaded = load("sum-misses-dying-cpu")
    subject = subject_of(loaded)
    *others, offline = subject.setting.contexts
    killing = replace(subject.setting, contexts=(*others, replace(offline, kind="kill")))
    with pytest.raises(ScenarioError, match="kind 'kill' cannot be stressed"):
        refuse_what_cannot_run(loaded, replace(subject, setting=killing))


def test_an_operation_that_no_process_can_do_is_refused() -> None:
    loaded = load("smp-call-interrupts-off")
    problem = "not for run: call_and_wait uses irq_work_queue_on; explore and replay have it"
    with pytest.raises(ScenarioError) as raised:
        refuse_what_cannot_run(loaded, subject_of(loaded))
    assert raised.value.problems == [problem]


# --- scenarios of the test's own

PROGRAMS = """\
from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import *

FLAG = STATIC + 0


def hang():
    yield wait_until(FLAG, 1)


def warn_and_hang():
    yield warn_on(1)
    yield wait_until(FLAG, 1)


def other():
    yield write_once(FLAG, 3)
    yield this_cpu_write(5, 4)
    return 7


def holds(state):
    seen = (state.word(FLAG), state.slot(5, 1), state.slot(5, 0), state.ledger(FLAG), state.result(0))
    return None if seen == (3, 4, 0, 0, 7) else f"seen: {seen}"


def complains(state):
    return f"flag is {state.word(FLAG)}"


def raises(state):
    return f"{state.result(1)}"


def everything(state):
    return "there is something" if state.word(FLAG + 1) or state.word(0) or state.word(1 << 40) else None
"""


def own(folder: Path, contexts: list[str], more: str = "") -> Loaded:
    (folder / "own.py").write_text(PROGRAMS)
    lines = ['name = "own"', 'summary = "own"', "seconds = 0.5", "[machine]", "cpus = 2", "[explore]"]
    lines += ['programs = "own.py"', more]
    for context in contexts:
        lines += ["[[explore.contexts]]", context]
    path = folder / "own.toml"
    path.write_text("\n".join(lines) + "\n")
    return load(str(path))


HANG = 'program = "hang"\ncpus = [0]'
OTHER = 'program = "other"\ncpus = [1]'


def test_a_deadlock_says_who_waits_for_what_and_who_wrote_it_last(tmp_path: Path) -> None:
    result = stress_scenario(own(tmp_path, [HANG, OTHER]), EventStream(), record=True)
    [failed] = [check for check in result.checks if check.ok is False]
    assert (result.verdict, failed.name, result.figures["violation"]) == ("fail", "progress", "deadlock")
    assert "hang on CPU 0 at hang:1" in failed.detail
    assert "sleeps until flag is 1, and it is 3" in failed.detail
    assert result.counterexample is not None
    assert result.counterexample.check == "deadlock"
    assert any(note.startswith("flag was written last by other on CPU 1 at other:1") for note in result.notes)
    assert [check.name for check in result.checks if check.detail == "no round reached its end"] == [
        "memory", "program", "sections"
    ]  # fmt: skip


def test_what_came_before_a_hang_is_reported_too(tmp_path: Path) -> None:
    warns = HANG.replace("hang", "warn_and_hang")
    result = stress_scenario(own(tmp_path, [warns, OTHER]), EventStream(), record=True)
    assert {check.name: check.detail.partition(":")[0] for check in result.checks if check.ok is False} == {
        "program": "warning", "progress": "deadlock",
    }  # fmt: skip
    assert result.figures["violation"] == "warning"


@pytest.mark.parametrize(
    ("final", "said"), [("holds", ""), ("everything", ""), ("complains", "final: flag is 3, in round 1")]
)
def test_the_scenarios_own_check_of_the_end_is_judged(tmp_path: Path, final: str, said: str) -> None:
    result = stress_scenario(own(tmp_path, [OTHER], f'final = "{final}"'), EventStream(), record=False)
    [check] = [check for check in result.checks if check.name == "final"]
    assert (check.ok, said in check.detail) == (not said, True), check
    assert result.verdict == ("fail" if said else "pass")


def test_a_check_of_the_end_that_fails_itself_is_an_error_of_the_scenario(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"explore.final: raises: IndexError"):
        stress_scenario(own(tmp_path, [OTHER], 'final = "raises"'), EventStream(), record=False)


def test_more_interrupts_than_a_cpu_has_room_for_are_refused(tmp_path: Path) -> None:
    interrupt = 'kind = "interrupt"\n' + OTHER
    loaded = own(tmp_path, [HANG, *[interrupt] * 9])
    with pytest.raises(ScenarioError, match=r"explore.contexts: found 9 interrupts on CPU 1, allowed: at most 8"):
        stress_scenario(loaded, EventStream(), record=False)
    refuse_what_cannot_run(*subjected(own(tmp_path, [HANG, *[interrupt] * 8])))


def subjected(loaded: Loaded) -> tuple[Loaded, Any]:
    return loaded, subject_of(loaded)


def invoke(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout


def test_the_command_reports_what_passed_and_what_was_not_controlled() -> None:
    code, out = invoke("run", "release-in-order", "--seconds", "1", "--record", "--json")
    report = Report.model_validate_json(out)
    assert (code, report.verdict, report.scope["recorded"]) == (0, "pass", "every round")
    assert any("the operating system decides" in line for line in report.scope["not_controlled"])
    assert invoke("run", "dying-cgroups", "--record")[0] == 2
