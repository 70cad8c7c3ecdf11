"""`percpu_emu.run` and `percpu_emu.replay`: on real processes, of which none stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import percpu_emu

from .scenarios import write_race

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
INTERRUPTED = """
import os, percpu_emu
from pathlib import Path
percpu_emu.run("count-per-cpu", seconds=0.01)

try:
    print("ready", flush=True)
    percpu_emu.run("count-per-cpu", seconds=600)
except KeyboardInterrupt:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    print(f"interrupted, and left: {children}", flush=True)
"""


def test_a_run_gives_its_figures_and_verdict() -> None:
    result = percpu_emu.run("count-per-cpu", cpus=1, seconds=0.05, seed=3)
    assert (result.verdict, result.ok, result.counterexample) == ("pass", True, None)
    assert result.figures["patched"]["updates"] > 0
    assert result.to_dict()["command"] == "run"
    assert result.to_dict()["seed"] == 3


def test_a_stress_finds_the_race_and_explains_it(tmp_path: Path) -> None:
    result = percpu_emu.run(write_race(tmp_path), seconds=60)
    assert result.verdict == "fail"
    assert result.counterexample is not None
    assert result.counterexample.check == "final"


def test_a_token_is_replayed(tmp_path: Path) -> None:
    race = write_race(tmp_path)
    example = percpu_emu.explore(race).counterexample
    assert example is not None
    result = percpu_emu.replay(example.token, race)
    assert (result.verdict, result.ok) == ("pass", True)
    assert result.counterexample is not None
    assert result.counterexample.columns() == example.columns()
    assert percpu_emu.replay(percpu_emu.explore("flush-then-swap").counterexample.token).ok  # type: ignore[union-attr]


@pytest.mark.parametrize("token", ["nonsense", "flush-then-swap:0140.aaaa"])
def test_a_token_that_fits_nothing_is_wrong_input(token: str) -> None:
    with pytest.raises(percpu_emu.WrongInput):
        percpu_emu.replay(token)


def test_a_thread_runs_processes() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(percpu_emu.run("count-per-cpu", seconds=0.05).verdict))
    thread.start()
    thread.join()
    assert found == ["pass"]


def test_ctrl_c_raises_and_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said == "interrupted, and left: \n"
    assert process.returncode == 0
