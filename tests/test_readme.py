"""The README's own example: what it shows is what the commands print, and its fix is proved.

    PERCPU_EMU_REWRITE_GOLDEN=1 python -m pytest tests/test_readme.py

writes the counterexample anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from percpu_emu.scenario.collecting import mutants
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from tests.cli.commands import command

README = Path(__file__).parent.parent / "README.md"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^\$ percpu-emu explore counter.py --width 72\n.*?^```$", re.MULTILINE | re.DOTALL)
MOST_LINES = 185
pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `counter.py` of the README."""
    (tmp_path / "counter.py").write_text(PYTHON.findall(README.read_text())[0])
    return tmp_path


def test_the_counterexample_is_what_explore_prints(folder: Path) -> None:
    done = command("explore", "counter.py", "--width", "72", cwd=folder)
    assert done.returncode == 1
    columns = done.stdout[done.stdout.index("give-back: ") :].partition("\n\n* ")[0].rstrip()
    text = f"$ percpu-emu explore counter.py --width 72\n{columns}\n```"
    if os.environ.get("PERCPU_EMU_REWRITE_GOLDEN"):
        README.write_text(SHOWN.sub(lambda _: text, README.read_text(), count=1))
    assert text in README.read_text()
    assert max(map(len, columns.splitlines())) <= 72


def test_the_fix_is_proved_and_runs(folder: Path) -> None:
    path = folder / "counter.py"
    fixed = PYTHON.findall(README.read_text())[1]
    broken = path.read_text()
    path.write_text(re.sub(r"^def release\(\).*?\n\n", lambda _: f"{fixed}\n\n", broken, count=1, flags=re.M | re.S))
    assert path.read_text().count("synchronize_rcu") == 1
    assert command("explore", "counter.py", "--quiet", cwd=folder).stdout.startswith("pass in ")
    assert command("run", "counter.py", "--seconds", "0.5", cwd=folder).returncode in (0, 4)


def test_the_python_example_runs(folder: Path) -> None:
    example = PYTHON.findall(README.read_text())[2]
    assert "percpu_emu.replay(" in example
    done = subprocess.run([sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fail ['update on CPU 0', 'release']\ngive-back: ")


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_it_counts_the_mistakes_that_ship() -> None:
    broken = [name for name in mutants() if (part := load(name).scenario.explore) is not None and part.expect]
    protocols = [name for name in broken if shipped()[name].place.path.parent.name == "protocols"]
    said = re.findall(
        r"\[(\d+) mistakes\]\S+ (\d+) from real kernels and (\d+) of classic algorithms", README.read_text()
    )
    assert said == [(str(len(broken)), str(len(protocols)), str(len(broken) - len(protocols)))]
