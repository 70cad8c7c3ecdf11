"""`explore`, `mutants` and `replay`, as a person or a script calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from percpu_emu.report.result import Report
from percpu_emu.scenario.finding import shipped

from .commands import command

MAX_TOKEN = 60
pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def report(*arguments: str) -> dict[str, Any]:
    result = command(*arguments, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    Report.model_validate(found)
    found["exit code"] = result.returncode
    return found


@pytest.fixture(scope="module")
def broken() -> dict[str, Any]:
    return report("explore", "flush-then-swap")


def test_a_fixed_protocol_passes_with_its_scope(tmp_path: Path) -> None:
    found = report("explore", "release-in-order")
    assert (found["verdict"], found["exit code"]) == ("pass", 0)
    assert {"executions", "states", "steps", "seconds"} <= found["figures"].keys()
    assert found["figures"]["executions"] >= 1
    assert found["scope"]["complete"]
    assert found["reduction"]["on"]
    assert found["counterexample"] is None
    assert not list(tmp_path.iterdir())


def test_a_broken_protocol_fails_with_the_smallest_counterexample(broken: dict[str, Any]) -> None:
    example = broken["counterexample"]
    assert (broken["verdict"], broken["exit code"], broken["as_expected"]) == ("fail", 0, True)
    assert {check["name"]: check["ok"] for check in broken["checks"]} == {
        "memory": None, "program": None, "sections": None, "progress": None, "counts": False, "leak": None
    }  # fmt: skip
    assert (example["check"], example["preemptions"], example["steps"]) == ("lost-count", 1, 14)
    assert len(example["token"]) <= MAX_TOKEN
    assert "!! 2" in example["columns"], "the flush that looks too early"
    assert "-> 8" in example["columns"], "the update that it loses"
    assert example["story"][-1].startswith("Missing: the swap to NULL")
    assert max(map(len, example["columns"].splitlines())) <= 100


@pytest.mark.parametrize(
    ("expect", "code", "said"),
    [
        ('expect="lost-count"', 0, "expected: lost-count, found: lost-count"),
        ('expect="leak"', 1, "expected leak, found lost-count"),
        ("", 1, ""),
    ],
)
def test_a_failure_that_is_expected_is_no_failure(tmp_path: Path, expect: str, code: int, said: str) -> None:
    text = shipped()["flush-then-swap"].place.path.read_text()
    assert 'expect="lost-count",' in text
    (tmp_path / "mine.py").write_text(text.replace('expect="lost-count",', expect and f"{expect},", 1))
    done = command("explore", f"{tmp_path / 'mine.py'}::flush-then-swap")
    assert done.returncode == code
    assert said in done.stdout
    assert ("expected" in done.stdout) == bool(said)
    assert done.stdout.splitlines()[-1].startswith("fail in ")


def test_an_expected_failure_that_is_not_there_is_one(tmp_path: Path) -> None:
    text = shipped()["release-in-order"].place.path.read_text()
    (tmp_path / "mine.py").write_text(
        text.replace("**COUNTER)\ndef release_in_order", '**COUNTER, expect="leak")\ndef release_in_order')
    )
    done = command("explore", f"{tmp_path / 'mine.py'}::release-in-order")
    assert (done.returncode, done.stdout.splitlines()[-2:-1]) == (1, ["expected leak, found nothing"])


def test_its_token_replays_on_real_processes(broken: dict[str, Any]) -> None:
    found = report("replay", broken["counterexample"]["token"])
    assert (found["verdict"], found["exit code"]) == ("pass", 0)
    assert found["figures"]["steps"] == broken["counterexample"]["steps"]
    assert found["figures"]["violation"] == "lost-count"


def test_a_use_after_free_is_caught_by_the_hardware_in_the_replay() -> None:
    token = report("explore", "free-without-grace-period")["counterexample"]["token"]
    found = report("replay", token)
    trapped = next(check for check in found["checks"] if "use-after-free" in check["name"])
    assert trapped["ok"]
    assert "SIGBUS" in trapped["detail"]


def test_without_reduction_the_verdict_is_the_same(broken: dict[str, Any]) -> None:
    found = report("explore", "flush-then-swap", "--no-reduction")
    assert not found["reduction"]["on"]
    assert found["counterexample"]["steps"] == broken["counterexample"]["steps"]
    assert found["counterexample"]["preemptions"] == broken["counterexample"]["preemptions"]


@pytest.mark.parametrize("strategy", ["preemptions", "random", "pct"])
def test_every_strategy_finds_it(strategy: str) -> None:
    found = report("explore", "flush-then-swap", "--strategy", strategy, "--max-schedules", "20000")
    assert found["counterexample"]["check"] == "lost-count"


LIMITS = [("--max-schedules", "20"), ("--max-seconds", "0.000001"), ("--max-megabytes", "1"), ("--strategy", "random")]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_is_inconclusive_and_named(limit: tuple[str, str]) -> None:
    more = ("--max-schedules", "50") if limit[0] == "--strategy" else ()
    found = report("explore", "release-4x4", *limit, *more)
    assert (found["verdict"], found["exit code"]) == ("inconclusive", 4)
    assert {check["ok"] for check in found["checks"] if check["name"] != "marks"} == {None}
    assert not found["scope"]["complete"]
    assert found["notes"]


def test_fewer_preemptions_than_needed_find_nothing_and_prove_nothing() -> None:
    found = report("explore", "flush-then-swap", "--strategy", "preemptions", "--preemptions", "0")
    assert (found["verdict"], found["exit code"], found["as_expected"]) == ("inconclusive", 1, False)
    assert "0 preemptions" in found["scope"]["stopped"]


def test_cpus_and_turns_can_be_changed_and_the_token_says_so() -> None:
    small = report("explore", "release-3x3", "--cpus", "2", "--turns", "2")
    assert small["verdict"] == "pass"
    assert small["scope"]["cpus"] == 2
    assert "update on CPU 1 x 2" in small["scope"]["contexts"]


def test_a_prefix_is_taken_first(broken: dict[str, Any]) -> None:
    token = broken["counterexample"]["token"]
    found = report("explore", "flush-then-swap", "--prefix", token)
    assert found["scope"]["prefix"] == broken["counterexample"]["steps"]
    assert found["verdict"] == "fail"


def test_the_columns_have_the_width_that_is_asked_for(broken: dict[str, Any]) -> None:
    done = command("explore", "flush-then-swap", "--width", "72")
    assert 64 < max(map(len, done.stdout.splitlines())) <= 72
    for arguments in (["explore", "flush-then-swap"], ["replay", broken["counterexample"]["token"]]):
        narrow = report(*arguments, "--width", "50")["counterexample"]["columns"]
        assert max(map(len, narrow.splitlines())) <= 50
        assert max(map(len, report(*arguments)["counterexample"]["columns"].splitlines())) in range(73, 101)


def test_the_columns_have_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, command("explore", "flush-then-swap").stdout.partition("Replay")[0].splitlines())) > 72
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stdout for a terminal
    columns = command("explore", "flush-then-swap").stdout.partition("!!")[2].partition("Replay")[0]
    assert max(map(len, columns.splitlines())) <= 60


def test_the_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "counterexample.html"
    assert command("explore", "raw-add-interrupt", "--html", str(page)).returncode == 0
    assert page.read_text().startswith("<!doctype html>") or page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explore", "dying-cgroups"), "no table explore"),
        (("explore", "no-such"), "no scenario of that name"),
        (("explore", "flush-then-swap", "--strategy", "luck"), "exhaustive, preemptions, pct, random"),
        (("explore", "flush-then-swap", "--max-seconds", "0"), "a limit is above 0"),
        (("explore", "flush-then-swap", "--width", "39"), "--width 39: columns need 40 or more"),
        (("explore", "flush-then-swap", "no-such", "--width", "39"), "--width 39: columns need 40 or more"),
        (("replay", "flush-then-swap:0140.aaaa", "--width", "39"), "--width 39: columns need 40 or more"),
        (("explore", "release-4x4", "--cpus", "99"), "--cpus 99: machine.cpus: found 99, allowed for explore: at most"),
        (("replay", "nonsense"), "is not a token"),
        (("replay", "no-such:11.abcd"), "no scenario of that name"),
        (("replay", "flush-then-swap:0140.aaaa"), "other programs"),
    ],
)
def test_mistakes_are_said_and_nothing_runs(arguments: tuple[str, ...], said: str) -> None:
    result = command(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
