"""Files of programs that do more than define: each is refused in one sentence, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from percpu_emu.scenario import trial
from percpu_emu.scenario.trial import fault_of

HEAD = """\
from percpu_emu.lang.ops import atomic_long_add

"""
PROGRAM = """
def mine(memcg, turn):
    yield atomic_long_add(memcg, 1)
"""
SCENARIO = """\
name = "mine"
summary = "a file of mine"
machine = {cpus = 1}

[explore]
programs = "mine.py"
contexts = [{program = "mine", cpus = [0], args = [65544, 0]}]
"""


def written(folder: Path, does: str) -> Path:
    path = folder / "mine.py"
    path.write_text(f"{HEAD}{does}\n{PROGRAM}")
    (folder / "mine.toml").write_text(SCENARIO)
    return path


DOES = {
    "1 / 0": "line 3: cannot be loaded: ZeroDivisionError: division by zero",
    "x = (": "line 3: cannot be loaded: SyntaxError: '(' was never closed",
    "import sys; sys.exit(0)": "line 3: cannot be loaded: SystemExit: 0",
    "raise SystemExit": "line 3: cannot be loaded: SystemExit: ",
    "raise KeyboardInterrupt": "line 3: cannot be loaded: KeyboardInterrupt: ",
    "raise GeneratorExit": "line 3: cannot be loaded: GeneratorExit: ",
    "class Own(BaseException): pass\nraise Own(7)": "line 4: cannot be loaded: Own: 7",
    "import os; os._exit(0)": "line 3: ends its process",
    "import os; os.kill(os.getpid(), 9)": "line 3: sends a signal",
    "import os\nos.abort()": "ends its process",
    "import ctypes; ctypes.string_at(0)": "ends its process",
    "import atexit, os; atexit.register(os._exit, 0)": "line 3: registers what runs at the end of the process",
    "print(1)": "line 3: prints",
    "try:\n    print(1)\nexcept Exception:\n    pass": "line 4: prints",
    "import sys; sys.stdout.write('x')": "line 3: prints",
    "import os; os.fork()": "line 3: starts a process",
    "import os; os.system('true')": "line 3: starts a process",
    "import subprocess; subprocess.run(['sleep', '60'])": "line 3: starts a process",
    "import os; os.execv('/bin/true', ['true'])": "line 3: replaces its process",
    "import threading\nthreading.Thread(target=print).start()": "line 4: starts a thread",
    "import os; os.chdir('/')": "line 3: changes the working directory",
}


@pytest.mark.parametrize("does", DOES)
def test_a_file_that_does_something_is_refused_with_its_line(does: str, tmp_path: Path) -> None:
    path = written(tmp_path, does)
    assert fault_of(path).startswith(f"{path}{', ' if DOES[does].startswith('line') else ': '}{DOES[does]}")


@pytest.mark.parametrize(
    ("does", "where"),
    [("while True: pass", ", line 3"), ("try:\n    while True: pass\nexcept Exception: pass", ", line 4"),
     ("10 ** 10 ** 9", ", line 3"),
     ("import signal; signal.pthread_sigmask(0, {14})\nwhile True: pass", "")],
)  # fmt: skip
def test_a_file_that_does_not_end_is_refused_at_the_limit(
    does: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.3)
    path = written(tmp_path, does)
    start = time.monotonic()
    assert fault_of(path) == f"{path}{where}: does not end within 0 s"
    assert time.monotonic() - start < 60


def test_a_process_that_the_file_starts_behind_pythons_back_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.3)
    path = written(tmp_path, "import ctypes, time\nif ctypes.CDLL(None).fork() == 0: time.sleep(60)")
    assert fault_of(path) == f"{path}: does not end within 0 s"


@pytest.mark.parametrize("does", ["", "X = 1", "import sys; print(1, file=sys.stderr)", "import dataclasses, enum"])
def test_a_file_that_only_defines_is_none(does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, does)
    assert fault_of(path) == ""
    monkeypatch.chdir(tmp_path)
    assert fault_of(Path(path.name)) == ""


def test_the_file_runs_in_the_trial_and_not_before(tmp_path: Path) -> None:
    path = written(tmp_path, "from pathlib import Path\nPath(__file__).with_name('seen').touch()\n1 / 0")
    assert fault_of(path) == f"{path}, line 5: cannot be loaded: ZeroDivisionError: division by zero"
    assert (tmp_path / "seen").exists()


@pytest.mark.parametrize("does", ["print(1)", "import os; os._exit(0)", "raise KeyboardInterrupt"])
@pytest.mark.parametrize("command", ["explore", "show", "run"])
def test_the_command_says_it_on_stderr_and_in_one_object(does: str, command: str, tmp_path: Path) -> None:
    written(tmp_path, does)
    done = subprocess.run(
        [sys.executable, "-m", "percpu_emu", command, "mine.toml", "--json"],
        cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "input"
    assert done.stderr.count("\n") == 1
    assert "mine.py, line 3: " in done.stderr
