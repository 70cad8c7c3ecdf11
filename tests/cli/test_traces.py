"""`--trace FILE` of `explore` and `replay`: the file, its format, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from percpu_emu.report.export.formats import FORMATS, Format
from tests.report.shipped import counterexample

from .commands import command

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
NAME = "free-without-grace-period"


@pytest.mark.parametrize("known", FORMATS, ids=[known.name for known in FORMATS])
def test_explore_writes_the_counterexample_in_the_format_of_the_ending(tmp_path: Path, known: Format) -> None:
    file = tmp_path / f"trace{known.ending}"
    done = command("explore", NAME, "--trace", file.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == known.render(counterexample(NAME))
    assert f"note: {file.name}: open it with {known.reader}" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_replay_writes_the_schedule_that_it_replayed(tmp_path: Path) -> None:
    done = command("replay", counterexample(NAME).token, "--trace", "t.mmd", "--html", "t.html", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t.mmd").read_text().startswith("sequenceDiagram\n")
    assert (tmp_path / "t.html").read_text().lower().startswith("<!doctype html>")
    assert [note.partition(":")[0] for note in json.loads(done.stdout)["notes"]] == ["t.html", "t.mmd"]


def test_a_format_by_name_goes_before_the_ending(tmp_path: Path) -> None:
    done = command("explore", NAME, "--trace", "t.txt", "--trace-format", "shiviz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t.txt").read_text().startswith("(?<host>")
    assert "note: t.txt: open it with ShiViz" in done.stdout


def test_without_a_counterexample_no_file_is_written_and_a_note_says_so(tmp_path: Path) -> None:
    done = command("explore", "release-in-order", "--trace", "t.json", "--html", "t.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: no counterexample, so t.json was not written" in done.stdout
    assert "note: no counterexample, so t.html was not written" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trace", "t.svg"), "--trace t.svg: the ending says the format: .json (perfetto), .log (shiviz), .mmd ("),
        (("--trace", "t"), "--trace t: the ending says the format: .json"),
        (("--trace", "t.json", "--trace-format", "svg"), "--trace-format svg: there are perfetto, shiviz, mermaid"),
        (("--trace-format", "shiviz"), "--trace-format shiviz: it is the format of --trace FILE, which is missing"),
        (("--trace", "no/t.json"), "--trace no/t.json: there is no folder no"),
        (("--html", "no/t.html"), "--html no/t.html: there is no folder no"),
        (("--trace", "sub.json"), "--trace sub.json: it is a folder"),
        (("--trace", "t.json", "--html", "t.json"), "--html and --trace name the same file, t.json"),
    ],
)
@pytest.mark.parametrize("what", [("explore", NAME), ("replay", "nonsense")], ids=["explore", "replay"])
def test_a_file_that_cannot_be_written_is_wrong_input_before_anything_runs(
    tmp_path: Path, what: tuple[str, str], options: tuple[str, ...], said: str
) -> None:
    (tmp_path / "sub.json").mkdir()
    done = command(*what, *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sub.json"]
