"""`compare`, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from percpu_emu.report.result import Report

from .commands import command

REPORT: dict[str, Any] = {
    "command": "explore",
    "subject": "mine",
    "verdict": "pass",
    "scope": {"cpus": 2},
    "checks": [{"name": "counts", "ok": True, "detail": "nothing lost"}],
    "figures": {"states": 10, "seconds": 1.0},
    "seconds": 1.0,
}
WORSE = {
    **REPORT,
    "verdict": "fail",
    "scope": {"cpus": 3},
    "checks": [{"name": "counts", "ok": False, "detail": "[bold]1 lost"}],
    "figures": {"states": 25, "seconds": 1.0},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text(json.dumps(REPORT))
    (tmp_path / "b.json").write_text(json.dumps(WORSE))
    return tmp_path


def test_what_got_worse_is_said_after_the_scopes_that_differ(folder: Path) -> None:
    done = command("compare", "a.json", "b.json", cwd=folder)
    assert done.returncode == 1
    words = ["explore mine: a.json -> b.json", "The scopes differ", "cpus", "FAILED", "ok -> FAILED: [bold]1 lost"]
    places = [done.stdout.find(word) for word in [*words, "states", "x 2.5", "fail in"]]
    assert -1 not in places
    assert places == sorted(places)


def test_the_same_twice_passes(folder: Path) -> None:
    done = command("compare", "b.json", "b.json", cwd=folder)
    assert done.returncode == 0
    assert "fail, as before" in done.stdout
    assert "every check is as before: 1" in done.stdout
    assert "scopes" not in done.stdout


def test_json_is_one_object_that_fits_the_schema(folder: Path) -> None:
    done = command("compare", "a.json", "b.json", "--json", cwd=folder)
    found = Report.model_validate_json(done.stdout)
    assert (found.command, found.subject, found.verdict, done.returncode) == ("compare", "mine", "fail", 1)
    assert [(check.name, check.ok) for check in found.checks] == [("verdict", False), ("counts", False)]
    assert found.figures == {"states": {"before": 10, "after": 25, "ratio": 2.5}}


def test_many_figures_are_cut_on_a_terminal_and_whole_in_json(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps({**REPORT, "figures": {f"n{n}": n for n in range(50)}}))
    (folder / "b.json").write_text(json.dumps({**REPORT, "figures": {f"n{n}": n + 1 for n in range(50)}}))
    assert "10 more figures changed" in command("compare", "a.json", "b.json", cwd=folder).stdout
    assert len(json.loads(command("compare", "a.json", "b.json", "--json", cwd=folder).stdout)["figures"]) == 50


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps({**REPORT, "command": "run"}), "not comparable: a.json is of explore mine, b.json of run mine"),
        (json.dumps({**REPORT, "subject": "its"}), "not comparable: a.json is of explore mine, b.json of explore its"),
        (json.dumps({**REPORT, "new": 1}), "b.json holds no report of --json: new: Extra inputs"),
        (json.dumps({**REPORT, "format": 2}), "b.json holds no report of --json: format: Input should be 1"),
        ("", "b.json holds no report of --json: Invalid JSON"),
        ("[1]", "b.json holds no report of --json: "),
        ("\0", "b.json holds no report of --json: "),
    ],
)
def test_files_that_cannot_be_compared_are_wrong_input(folder: Path, content: str, said: str) -> None:
    (folder / "b.json").write_text(content)
    done = command("compare", "a.json", "b.json", "--json", cwd=folder)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    error = Report.model_validate_json(done.stdout).error
    assert error is not None
    assert (error.kind, done.returncode) == ("input", 2)
    assert said in error.message


@pytest.mark.parametrize(("name", "said"), [("no.json", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_wrong_input(folder: Path, name: str, said: str) -> None:
    done = command("compare", name, "a.json", cwd=folder)
    assert done.returncode == 2
    assert f"{name} cannot be read: {said}" in done.stderr


def test_a_file_that_never_ends_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("percpu_emu.cli.compare.MOST_BYTES", 1 << 20)
    done = command("compare", "/dev/zero", "a.json", cwd=folder)
    assert done.returncode == 2
    assert "/dev/zero holds no report of --json: it has more than 1 MiB" in done.stderr


def test_a_name_that_is_not_utf8_is_compared_too(folder: Path) -> None:
    odd = "b\udcff.json"
    (folder / odd).write_text(json.dumps(WORSE))
    done = command("compare", "a.json", odd, "--json", cwd=folder)
    assert done.returncode == 1
    assert Report.model_validate_json(done.stdout).scope["after"] == "b\\udcff.json"
