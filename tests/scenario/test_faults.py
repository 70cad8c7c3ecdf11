"""Scenarios in which something goes wrong on purpose: interrupts, faults, hotplug storms, and all of it at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from percpu_emu.cli.main import app
from percpu_emu.machine import Event, EventStream
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.protocol_runs import RunResult, run_scenario
from percpu_emu.scenario.pulse import Pulse
from percpu_emu.scenario.stress import stress_scenario
from percpu_emu.scenario.writing import as_toml

pytestmark = pytest.mark.timeout(300)  # the first run compiles its programs


def run(name: str, **overrides: Any) -> RunResult:
    return run_scenario(load(name, {key.replace("_", "."): value for key, value in overrides.items()}), EventStream())


def failed(result: RunResult) -> list[str]:
    return [check.name for check in result.checks if check.ok is False]


def test_a_read_and_a_write_lose_what_an_interrupt_adds_in_between() -> None:
    result = run("interrupts-raw", seconds=1.0)
    assert failed(result) == ["nothing lost, nothing doubled"]
    assert " lost" in result.checks[0].detail
    assert result.figures["patched"]["interrupts_inside_update"] > 0


@pytest.mark.parametrize(
    ("name", "figure"),
    [("interrupts-this-cpu-add", "interrupts_inside_update"), ("interrupts-off", "interrupts_deferred")],
)
def test_one_instruction_or_interrupts_off_lose_nothing(name: str, figure: str) -> None:
    result = run(name, seconds=1.0)
    assert (result.verdict, failed(result)) == ("pass", [])
    assert result.figures["patched"][figure] > 0


def test_a_use_after_free_ends_the_machine_with_a_report_and_no_guard_is_no_trap() -> None:
    result = run("stale-pointer")
    assert (result.verdict, failed(result)) == ("fail", ["no access to freed memory"])
    [check] = result.checks
    assert "at stale_pointer:6 (line " in check.detail
    assert "freed by percpu_rcu_free on the coordinator at percpu_rcu_free:" in check.detail
    assert run("stale-pointer", seconds=0.3, machine_guard=False).verdict in ("pass", "fail")


def test_hotplug_storms_and_nothing_is_lost() -> None:
    result = run("hotplug-storm", seconds=3.0)
    assert (result.verdict, failed(result)) == ("pass", [])


def test_everything_at_once_for_a_moment() -> None:
    seen: list[Event] = []
    events = EventStream()
    events.listen(seen.append)
    result = run_scenario(load("soak", {"seconds": 4.0}), events)
    assert (result.verdict, failed(result)) == ("pass", [])
    assert result.scope["faults"][-1] == "chaos"


def test_memory_that_grows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    megabytes = iter([100.0, 110.0, 120.0, 190.0])
    monkeypatch.setattr("percpu_emu.scenario.pulse.PULSE_SECONDS", 0.2)
    monkeypatch.setattr("percpu_emu.scenario.pulse.memory_mb", lambda _: next(megabytes, 190.0))
    result = run("release-storm", seconds=2.0)
    assert failed(result) == ["memory stays flat"]
    assert Pulse.checks is not None


def test_chaos_says_how_often_it_starved_a_cpu() -> None:
    result = run("release-storm", seconds=1.5, faults_chaos=True)
    assert (result.verdict, failed(result)) == ("pass", [])
    assert result.figures["patched"]["starved"] > 0


def test_killed_cpus_come_back_unless_they_are_not_to() -> None:
    inject = ["mod_memcg_state:3=kill@#1000", "mod_memcg_state:4=kill@#5000"]
    result = run("release-storm", seconds=1.0, faults_inject=inject)
    assert (result.verdict, failed(result)) == ("pass", [])
    assert result.figures["patched"]["killed"] == 2
    assert [note for note in result.notes if note.startswith("fault ")] == [f"fault {line}: 1 times" for line in inject]


def test_faults_from_the_command_line() -> None:
    arguments = [
        "run",
        "release-storm",
        "--seconds",
        "0.5",
        "--inject",
        "mod_memcg_state=yield@1%",
        "--guard",
        "--json",
    ]
    result = CliRunner().invoke(app, arguments)
    report = json.loads(result.stdout)
    assert (result.exit_code, report["scope"]["faults"]) == (0, ["mod_memcg_state=yield@1%"])
    wrong = CliRunner().invoke(app, ["run", "release-storm", "--inject", "mod_memcg_state:77=kill"])
    assert wrong.exit_code == 2
    assert "mod_memcg_state has no point '77', allowed: 1 to " in wrong.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[faults]\ninject = ["x"]\n', "allowed: POINT=KIND"),
        ('[[interrupts]]\nprogram = "charge"\ncpus = [9]\n', "interrupt charge: no CPU 9"),
        ('[[interrupts]]\nprogram = "charge"\n[[interrupts]]\nprogram = "charge"\n', "CPU 0 is interrupted by charge"),
        ('[[interrupts]]\nprogram = "no_such"\n', "interrupts.0.: found 'no_such'|interrupts.0..program"),
        ('observe = ["x"]\n', "observe and outcomes: allowed with a table explore"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_told(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.toml"
    head, tables = ("", text) if text.startswith("[") else (text, "")
    file.write_text(f'name = "mine"\nsummary = "m"\nsteps = [{{ do = "settle" }}]\n{head}[machine]\ncpus = 2\n{tables}')
    with pytest.raises(ScenarioError, match=problem):
        load(str(file))


# --- outcomes


def outcomes(name: str, **overrides: Any) -> Any:
    return stress_scenario(load(name, {"seconds": 1.5, **overrides}), EventStream(), record=False)


def test_outcomes_are_counted_with_what_is_said_of_them() -> None:
    result = outcomes("store-buffering-mb")
    assert result.verdict == "pass"
    rows = {row["result"]: row for row in result.figures["outcomes"]}
    assert rows["0, 0"]["samples"] == 0
    assert sum(row["samples"] for row in rows.values()) == result.figures["rounds"]
    assert all(row["explain"] for row in rows.values())


def test_a_forbidden_outcome_fails_and_an_unforeseen_one_is_forbidden(tmp_path: Path) -> None:
    bundled = load("lost-increment")
    text = as_toml(bundled).replace('expect = "interesting"', 'expect = "forbidden"')
    text = text.replace('"lost-increment.py"', f'"{bundled.path}"')
    file = tmp_path / "mine.toml"
    file.write_text(text)
    for seed in range(1, 6):
        result = outcomes(str(file), seed=seed, seconds=3.0)
        if result.verdict == "fail":
            break
    [check] = [check for check in result.checks if check.ok is False]
    assert check.name == "no forbidden outcome"
    assert check.detail.startswith("1, ")
    file.write_text(text.replace('result = "2"', 'result = "3"'))
    [check] = [check for check in outcomes(str(file)).checks if check.ok is False]
    assert "the scenario does not foresee it" in check.detail


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mod_memcg_stat:4=yield", "no program 'mod_memcg_stat' runs here; did you mean mod_memcg_state"),
        ("mod_memcg_state:ledger_comit=yield", "has no point 'ledger_comit'; did you mean ledger_commit"),
        ("mod_memcg_state=yeild", "'yeild' is no kind of fault; did you mean yield?"),
        ("nothing_like_it=yield", "no program 'nothing_like_it' runs here, allowed: "),
    ],
)
def test_a_wrong_name_in_a_fault_has_the_nearest_said(line: str, said: str) -> None:
    done = CliRunner().invoke(app, ["run", "release-storm", "--inject", line])
    assert done.exit_code == 2
    assert said in done.stderr


def test_the_file_of_a_stressed_scenario_is_told_the_nearest_too() -> None:
    done = CliRunner().invoke(app, ["run", "lost-increment", "--inject", "cuont=yield"])
    assert (done.exit_code, "did you mean count?" in done.stderr) == (2, True)
