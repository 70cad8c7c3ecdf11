"""Several scenarios in one command: names, folders and patterns, in `explore` and `mutants`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from percpu_emu.report.result import Report
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.writing import as_toml
from tests.examples import fixed_versions

from .commands import command

MAX_TOKEN = 60
pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of one's own: one that is broken as expected, one that is not as expected, and one that is fixed."""
    folder = tmp_path / "own" / "deeper"
    folder.mkdir(parents=True)
    for name in ("flush-then-swap", "release-in-order"):
        path = shipped()[name].place.path
        (folder / f"{name}.toml").write_text(as_toml(load(name)).replace(f'"{path.name}"', f'"{path}"'))
    (folder / "unmarked.toml").write_text(
        (folder / "flush-then-swap.toml").read_text().replace('expect = "lost-count"\n', "")
    )
    (folder / "other.toml").write_text('[tool]\nname = "no scenario"\n')
    (tmp_path / "own" / ".venv").mkdir()
    (tmp_path / "own" / ".venv" / "installed.toml").write_text((folder / "unmarked.toml").read_text())
    return tmp_path / "own"


def test_each_scenario_has_a_line_and_all_have_one(own: Path) -> None:
    done = command("explore", "raw-add-interrupt", str(own))
    lines = done.stdout.splitlines()
    begins = ["raw-add-interrupt ", *(f"{own}/deeper/{name}" for name in ("flush-", "release-in-order.toml"))]
    for line, begin, found in zip(lines, begins, ["lost-count", "lost-count", "pass"], strict=False):
        assert line.startswith(begin)
        assert re.search(rf"  {found} +as expected +\d+ states +\d+\.\d+ s", line)
    assert re.search(r"unmarked.toml +lost-count +unexpected", lines[3])
    assert "Replay: percpu-emu replay flush-then-swap:" in done.stdout, "the counterexample of the unexpected failure"
    assert done.stdout.count("Replay:") == 1
    assert re.fullmatch(r"fail in \d+\.\d\d s: 4 scenarios, 3 as expected, 1 failed", lines[-1])
    assert done.returncode == 1


def test_json_has_the_object_of_each_scenario(own: Path) -> None:
    done = command("explore", str(own), "no-such", "--json")
    whole = Report.model_validate(json.loads(done.stdout))
    assert (whole.verdict, whole.command, whole.subject) == ("fail", "explore", f"{own} no-such")
    assert [report.verdict for report in whole.scenarios] == ["fail", "pass", "fail", "inconclusive"]
    assert [check.ok for check in whole.checks] == [True, True, False, None]
    expected, unexpected = whole.scenarios[0].counterexample, whole.scenarios[2].counterexample
    assert expected is not None
    assert unexpected is not None
    assert (expected.trace, len(unexpected.trace["steps"])) == ({}, unexpected.steps)
    assert whole.scenarios[3].error is not None
    assert whole.scenarios[3].error.kind == "input"


FIXED, BROKEN = "release-in-order", "flush-then-swap"
WORST = [
    ((FIXED, BROKEN), 0, "2 as expected"),
    ((FIXED, "no-such", BROKEN), 2, "2 as expected, 1 not tried for an error"),
    ((FIXED, ""), 2, "1 as expected, 1 not tried for an error"),
    ((FIXED, "dying-cgroups"), 2, "1 as expected, 1 not tried for an error"),
    (("no-such-*",), 2, "1 not tried for an error"),
    ((FIXED, "release-4x4", "--max-schedules", "20"), 4, "1 as expected, 1 inconclusive"),
    (("no-such", "release-4x4", "--max-schedules", "20"), 2, "1 inconclusive, 1 not tried for an error"),
    (("no-such", BROKEN, "--strategy", "preemptions", "--preemptions", "0"), 1, "1 failed, 1 not tried for an error"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), WORST)
def test_the_exit_code_is_the_worst_and_every_scenario_is_tried(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = command("explore", *arguments)
    assert (done.returncode, done.stdout.splitlines()[-1].partition("scenario")[2].partition(", ")[2]) == (code, said)


def test_patterns_are_of_names_and_of_files(own: Path) -> None:
    done = command("explore", "raw-add-*", f"{own}/**/[fr]*.toml")
    names = [line.split()[0] for line in done.stdout.splitlines()[:-1]]
    bundled_names = [name for name in shipped() if name.startswith("raw-add-")]
    files = [f"{own}/deeper/flush-then-swap.toml", f"{own}/deeper/release-in-order.toml"]
    assert names == [*bundled_names, *files]


@pytest.mark.parametrize("option", ["--html", "--prefix"])
def test_options_for_a_single_scenario_are_refused(option: str, own: Path) -> None:
    done = command("explore", str(own), option, "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option} is for a single scenario" in done.stderr


def test_a_python_file_means_all_that_it_declares() -> None:
    path = shipped()["raw-add-migration"].place.path
    done = command("explore", str(path))
    assert (done.returncode, done.stdout.count(f"{path}::raw-add-")) == (0, 4)


def test_mutants_are_all_caught_and_their_twins_pass() -> None:
    done = command("mutants", "--json")
    whole = Report.model_validate(json.loads(done.stdout))
    assert (whole.verdict, done.returncode) == ("pass", 0), [check for check in whole.checks if not check.ok]
    assert len(whole.scenarios) == len(whole.checks)
    broken = {report.subject for report in whole.scenarios if report.as_expected is not None}
    for report in whole.scenarios:
        assert (report.counterexample is not None) == (report.subject in broken)
        assert report.counterexample is None or len(report.counterexample.token) <= MAX_TOKEN
    pairs = fixed_versions("examples") | fixed_versions("protocols")
    assert broken == set(pairs)
    assert {report.subject for report in whole.scenarios} - broken == set(pairs.values())


def test_mutants_of_ones_own_are_judged_in_the_same_way(own: Path) -> None:
    done = command("mutants", f"{own}/deeper/flush-then-swap.toml", f"{own}/deeper/release-in-order.toml")
    assert (done.returncode, done.stdout.count("as expected")) == (0, 3)
    assert command("mutants", str(own)).returncode == 1, "a broken one without `expect` has to pass"
