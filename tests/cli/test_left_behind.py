"""Whatever ends a run - Ctrl-C, SIGTERM, SIGKILL - no process of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from percpu_emu.cli.errors import errors_for_people
from percpu_emu.cli.run_page import RunPage
from tests.report.html_tree import text, tree

CPUS = 3
AT_WORK = 10
RUN = ["run", "release-storm", "--json", "--cpus", str(CPUS), "--seconds", "60"]


@contextmanager
def running(cwd: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A storm in a session of its own, as soon as its CPU processes are there and at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "percpu_emu", *RUN, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while len(children(process.pid)) < CPUS and time.monotonic() < deadline:
            time.sleep(0.05)
        while time.monotonic() < deadline and min(map(ticks, children(process.pid)), default=0) < AT_WORK:
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def ticks(pid: int) -> int:
    """Processor time that a process has used, in clock ticks; it has none any more once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    except OSError:
        return 0


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pids: list[int]) -> list[int]:
    """Those that run; a zombie that its new parent has not yet reaped does not."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        found += [pid] if state != "Z" else []
    return found


def wait_until_gone(pids: list[int]) -> list[int]:
    deadline = time.monotonic() + 10
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive(pids)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_the_machine_and_is_told(tmp_path: Path, number: int, code: int, word: str) -> None:
    with running(tmp_path) as process:
        cpus = children(process.pid)
        assert len(cpus) == CPUS
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert process.returncode == code
        report = json.loads(output)
        assert report["seconds"] > 0
        assert report["figures"]["patched"]["updates"] > 0
        assert f"percpu-emu: {word}: every CPU process is ended, nothing is left behind" in errors
        assert "Traceback" not in errors
        assert wait_until_gone(cpus) == []


def test_ctrl_c_reaches_the_whole_group_and_only_the_coordinator_acts_on_it(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        cpus = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert wait_until_gone(cpus) == []


def test_a_killed_coordinator_takes_its_cpus_with_it(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        cpus = children(process.pid)
        assert len(cpus) == CPUS
        process.kill()
        process.wait(timeout=20)
        assert wait_until_gone(cpus) == []


def test_a_stopped_cpu_does_not_keep_the_machine_from_ending(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        cpus = children(process.pid)
        os.kill(cpus[0], signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert wait_until_gone(cpus) == []


def test_a_run_that_is_cut_short_leaves_a_page_that_says_so(tmp_path: Path) -> None:
    with running(tmp_path, "--html", "storm.html") as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "percpu-emu: storm.html: what was done until then, in a browser" in errors
    said = text(tree((tmp_path / "storm.html").read_text(encoding="utf-8")))
    assert "release-storm" in said
    assert "inconclusive" in said
    assert "terminated: every CPU process is ended" in said
    assert "updates a second" in said.lower()
    assert [path.name for path in tmp_path.iterdir()] == ["storm.html"]


def test_a_page_without_a_run_is_told_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        with errors_for_people("run", "storm", as_json=False) as so_far:
            RunPage(tmp_path / "none.html").stand_by(so_far)
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit):
        interrupted()
    assert "none.html: no page is written: nothing has run" in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()
