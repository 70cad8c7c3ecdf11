"""`percpu_emu.explore` and its result."""

from __future__ import annotations

import asyncio
import dataclasses
import html
import threading
from pathlib import Path

import pytest

import percpu_emu
from percpu_emu.report.result import Report
from percpu_emu.scenario.decorator import DeclaredScenario
from percpu_emu.scenario.programs import load_module
from percpu_emu.scenario.verdict import exit_code
from tests.report import golden

from .scenarios import DECLARED, FIXED, FOUND, KNOWN, UNREACHED, write_race

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@pytest.fixture
def race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_race(tmp_path)
    return Path("race.toml")


@pytest.fixture
def broken(race: Path) -> percpu_emu.Result:
    return percpu_emu.explore(race)


def test_a_protocol_that_is_right_passes() -> None:
    result = percpu_emu.explore("release-in-order")
    assert (result.verdict, result.ok, result.as_expected, result.counterexample) == ("pass", True, None, None)
    assert all(check.ok for check in result.checks)
    assert result.scope["complete"]
    assert result.figures["states"] > 0
    result.raise_for_verdict()


def test_the_failure_that_a_scenario_expects_is_ok() -> None:
    result = percpu_emu.explore("flush-then-swap")
    assert (result.verdict, result.ok, result.as_expected) == ("fail", True, True)
    assert repr(result) == "<Result flush-then-swap: fail: expected: lost-count, found: lost-count>"
    result.raise_for_verdict()


def test_a_counterexample_tells_all_that_the_command_line_does(broken: percpu_emu.Result) -> None:
    example = broken.counterexample
    assert example is not None
    assert (example.check, example.preemptions, example.steps) == ("final", 1, 4)
    assert repr(example) == f"<Counterexample final: 4 steps, 1 preemption, {example.token}>"
    assert example.story[-1] == "1 of 2."
    assert example.columns().rstrip().endswith(f"Replay: {FOUND}")
    assert max(map(len, example.columns().splitlines())) <= 72 < max(map(len, example.columns(100).splitlines()))
    assert broken.to_dict()["counterexample"]["token"] == example.token
    with pytest.raises(ValueError, match="columns need a width of"):
        example.columns(width=20)


def test_a_failure_raises_with_columns_story_and_the_replay_line(broken: percpu_emu.Result) -> None:
    with pytest.raises(percpu_emu.ScenarioFailed) as caught:
        broken.raise_for_verdict()
    assert isinstance(caught.value, AssertionError)
    assert caught.value.result is broken
    golden.check("api-failure", f"{caught.value}\n")


def test_an_inconclusive_verdict_raises_with_its_reason(race: Path) -> None:
    write_race(race.absolute().parent, scenario=UNREACHED)
    result = percpu_emu.explore(race)
    with pytest.raises(percpu_emu.ScenarioFailed, match="unreached: inconclusive: never reached: won"):
        result.raise_for_verdict()
    limited = percpu_emu.explore("release-3x3", schedules=100)
    assert (limited.verdict, limited.ok) == ("inconclusive", False)
    assert repr(limited) == "<Result release-3x3: inconclusive: not everything was covered: limit of 100 states>"


def test_ok_is_the_exit_code_of_the_command_line(race: Path) -> None:
    write_race(race.absolute().parent, programs=FIXED, scenario=KNOWN)
    result = percpu_emu.explore(race)
    assert (result.verdict, result.as_expected, result.ok) == ("pass", False, False)
    assert exit_code(result.verdict, result.as_expected) == 1
    with pytest.raises(percpu_emu.ScenarioFailed, match="expected final, found nothing"):
        result.raise_for_verdict()


def test_the_dictionary_is_the_object_of_the_command_line(broken: percpu_emu.Result) -> None:
    report = Report.model_validate(broken.to_dict())
    assert (report.command, report.subject, report.verdict) == ("explore", "race", "fail")
    assert [(check.name, check.ok, check.detail) for check in report.checks] == [*broken.checks]


def test_a_result_does_not_change(broken: percpu_emu.Result) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        broken.counterexample = None  # type: ignore[misc]
    with pytest.raises(TypeError):
        broken.scope["cpus"] = 3  # type: ignore[index]


def test_keywords_change_what_is_explored(race: Path) -> None:
    result = percpu_emu.explore(race, cpus=1, strategy="preemptions", preemptions=1)
    assert result.scope["cpus"] == 1
    assert result.scope["strategy"] == "preemptions"


def test_a_path_is_no_scenario_that_ships(race: Path) -> None:
    assert percpu_emu.explore(str(race)).name == percpu_emu.explore(race.absolute()).name == "race"
    with pytest.raises(percpu_emu.WrongInput, match="there is no such file"):
        percpu_emu.explore(Path("flush-then-swap"))


def test_a_declared_scenario_is_explored(race: Path) -> None:
    programs = race.with_suffix(".py").absolute()
    programs.write_text(programs.read_text() + DECLARED)
    declared = load_module(programs).declared_race
    assert isinstance(declared, DeclaredScenario)
    result = percpu_emu.explore(declared)
    assert (result.name, result.verdict) == ("declared-race", "fail")


WRONG = [
    ("flush-then-swop", {}, "did you mean flush-then-swap"),
    ("flush-then-swap", {"strategy": "luck"}, "strategy luck: allowed: exhaustive, preemptions, pct, random"),
    ("flush-then-swap", {"seconds": 0}, "seconds 0: a limit is above 0"),
    ("flush-then-swap", {"depth": 0}, "depth 0: a limit is above 0"),
    ("flush-then-swap", {"preemptions": -1}, "preemptions -1: a limit of them is 0 or more"),
    ("flush-then-swap", {"seconds": float("nan")}, "seconds nan: a limit is above 0"),
    ("flush-then-swap", {"cpus": 0}, "found 0, allowed: greater than or equal to 1"),
    ("dying-cgroups", {}, "it has no table explore"),
]


@pytest.mark.parametrize(("name", "keywords", "said"), WRONG)
def test_wrong_input_is_one_exception_with_one_sentence(name: str, keywords: dict[str, int], said: str) -> None:
    with pytest.raises(percpu_emu.WrongInput, match=said) as caught:
        percpu_emu.explore(name, **keywords)  # type: ignore[arg-type]
    assert isinstance(caught.value, percpu_emu.Error)
    assert caught.value.__cause__ is not None


def test_what_is_no_scenario_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a scenario is a name, a path or what @scenario declares, not int"):
        percpu_emu.explore(3)  # type: ignore[arg-type]


def test_nothing_is_printed(race: Path, capfd: pytest.CaptureFixture[str]) -> None:
    percpu_emu.explore(race)
    percpu_emu.run("lost-increment", seconds=0.05)
    assert capfd.readouterr() == ("", "")


def test_threads_and_an_event_loop_explore() -> None:
    names = ["flush-then-swap", "release-in-order"] * 2
    found: list[str] = []
    threads = [threading.Thread(target=lambda name=name: found.append(percpu_emu.explore(name).name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(names)

    async def from_a_loop() -> list[str]:
        there = percpu_emu.explore(names[0]).verdict
        return [there, (await asyncio.to_thread(percpu_emu.explore, names[1])).verdict]

    assert asyncio.run(from_a_loop()) == ["fail", "pass"]


def test_a_notebook_shows_the_stepper_apart_from_its_own_page(broken: percpu_emu.Result) -> None:
    example = broken.counterexample
    assert example is not None
    lines, _, frame = broken._repr_html_().partition("<iframe ")
    assert lines.startswith("<pre>race: fail: final: 1 of 2\n")
    page, _, rest = frame.removeprefix('srcdoc="').partition('"')
    assert html.unescape(page) == example.html(), "no quotation mark in it ends the attribute"
    assert rest.startswith(' sandbox="allow-scripts"')


def test_a_notebook_shows_the_lines_of_a_pass() -> None:
    shown = percpu_emu.explore("release-in-order")._repr_html_()
    assert shown.startswith("<pre>release-in-order: pass\nok: memory")
    assert "<iframe" not in shown
