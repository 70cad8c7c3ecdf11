"""`--quiet`, `--log` and the replay line, as a script uses them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from percpu_emu.bundled import bundled
from percpu_emu.report.result import Report
from tests.api.scenarios import write_race

from .commands import command

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
PROTOCOLS = bundled("scenarios") / "protocols"
SAID = r"fail in \d+\.\d\d s; expected: lost-count, found: lost-count\n"


@pytest.mark.parametrize("arguments", [["-q", "explore"], ["explore", "--quiet"]])
def test_quiet_is_the_verdict_line_only(arguments: list[str]) -> None:
    done = command(*arguments, "flush-then-swap")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(SAID, done.stdout)


def test_quiet_of_several_is_one_line_and_what_could_not_be_tried() -> None:
    done = command("mutants", "-q", "flush-then-swap", "no-such")
    assert re.fullmatch(r"inconclusive in .* s: 2 scenarios, 1 as expected, 1 not tried for an error\n", done.stdout)
    assert "no-such: no scenario of that name" in done.stderr


def test_a_quiet_run_says_nothing_else() -> None:
    done = command("run", "-q", "release-in-order", "--seconds", "0.1")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize("before", [True, False])
def test_the_log_has_the_progress(before: bool, tmp_path: Path) -> None:
    log = ["--log", str(tmp_path / "log.txt")]
    arguments = ["explore", "flush-then-swap", "release-in-order"]
    done = command(*log, *arguments) if before else command(*arguments, *log)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines[0] == "INFO: flush-then-swap: the search begins"
    assert re.fullmatch(r"INFO: release-in-order: \d+ states, \d+ steps", lines[-1])


def test_the_log_of_a_run_has_its_lines_and_stderr_has_none(tmp_path: Path) -> None:
    chaos = ["run", "playground", "--cgroups", "2", "--cpus", "2", "--chaos", "--seconds", "0.1", "--seed", "3"]
    done = command(*chaos, "--log", str(tmp_path / "log.txt"))
    assert done.stderr == ""
    assert "INFO: random choices begin at --seed 3" in (tmp_path / "log.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log", "/no/such/log"], "--log /no/such/log: there is no folder /no/such"),
        (["--live", "--quiet"], "it goes with neither --quiet nor --log"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], said: str) -> None:
    done = command("run", "playground", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_path_that_is_not_utf_8_is_reported_and_replayed(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    race = write_race(folder)
    files = ["--junit", str(tmp_path / "junit.xml"), "--sarif", str(tmp_path / "results.sarif"), "--github"]
    done = command("explore", str(race), "--json", *files)
    found = Report.model_validate_json(done.stdout)
    assert found.file.endswith("caf\\udce9/race.toml")
    assert found.counterexample is not None
    assert f"{tmp_path}/caf\\351/race.toml'" in found.counterexample.replay
    several = command("explore", str(folder), "no-such", "--json", *files)
    assert [report.verdict for report in Report.model_validate_json(several.stdout).scenarios] == [
        "fail",
        "inconclusive",
    ]
    assert (several.returncode, "Traceback" in several.stderr) == (1, False)
    assert command("explore", str(folder), "no-such").stdout.startswith(f"{tmp_path}/caf\\udce9/race.toml")


@pytest.mark.parametrize("width", [40, 100])
def test_the_replay_line_works_as_printed(width: int, tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a $(dir); & "more"\tand é'
    folder.mkdir()
    (folder / "mine.py").write_text((PROTOCOLS / "release-order.py").read_text())
    done = command("explore", f"{folder / 'mine.py'}::flush-then-swap", "--width", str(width))
    line = done.stdout.partition("\nReplay: ")[2].partition("\n\n")[0]
    script = f'percpu-emu() {{ {sys.executable} -m percpu_emu "$@" --quiet; }}\n{line}\n'
    replayed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert replayed.stdout.startswith("pass in ")
