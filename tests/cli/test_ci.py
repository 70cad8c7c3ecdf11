"""`--junit`, `--sarif` and `--github`, as a CI job gives them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from percpu_emu.bundled import bundled

from .commands import command

PROTOCOLS = bundled("scenarios") / "protocols"
pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def test_files_and_annotations_name_the_line_to_blame(tmp_path: Path) -> None:
    text = (PROTOCOLS / "release-order.py").read_text()
    (tmp_path / "mine.py").write_text(text.replace('    expect="lost-count",\n', ""))
    done = command(
        "explore", "mine.py::flush-then-swap", "raw-add-interrupt", "no-such",
        "--junit", "junit.xml", "--sarif", "sarif.json", "--github", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suites.get("failures"), suites.get("errors")) == ("1", "1")
    results = json.loads((tmp_path / "sarif.json").read_text())["runs"][0]["results"]
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "mine.py"}
    blamed = (tmp_path / "mine.py").read_text().splitlines()[place["region"]["startLine"] - 1]
    assert "yield" in blamed
    annotations = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    line = place["region"]["startLine"]
    assert annotations[0].startswith(f"::error file=mine.py,line={line},title=flush-then-swap%3A lost-count")
    assert annotations[1].startswith("::error title=no-such%3A error::no-such: no scenario of that name")


@pytest.mark.parametrize("name", ["run", "explore"])
def test_a_command_without_a_result_is_red_too(name: str, tmp_path: Path) -> None:
    done = command(name, "no-such", "--junit", str(tmp_path / "junit.xml"), "--github", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "input"
    assert "::error title=no-such%3A error::" in done.stderr
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().get("errors") == "1"


def test_a_file_that_cannot_be_written_is_said_before_anything_runs() -> None:
    done = command("explore", "flush-then-swap", "--junit", "/no/such/folder/junit.xml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--junit /no/such/folder/junit.xml: there is no folder /no/such/folder" in done.stderr


def test_mutants_and_runs_write_them_too(tmp_path: Path) -> None:
    own = f"{PROTOCOLS / 'release-order.py'}::flush-then-swap"
    assert command("mutants", own, "--sarif", str(tmp_path / "mutants.json")).returncode == 0
    assert json.loads((tmp_path / "mutants.json").read_text())["runs"][0]["results"] == []
    run = command("run", "release-in-order", "--seconds", "0.1", "--junit", str(tmp_path / "run.xml"))
    suite = ElementTree.parse(tmp_path / "run.xml").getroot()[0]
    assert suite.get("name") == "release-in-order"
    assert (suite.get("errors") == "0" and suite.get("failures") == "0") == (run.returncode == 0)
