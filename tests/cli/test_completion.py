"""What shells complete, and that completing imports nothing slow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from percpu_emu.bundled import bundled_files
from percpu_emu.cli import completing
from percpu_emu.kernel.profile import profile_names
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.scenario.finding import shipped

COMPLETE = "import sys; from percpu_emu.cli.main import main; sys.argv = ['percpu-emu']; main()"
MODULES = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "


def completed(shell: str, line: str) -> tuple[str, set[str]]:
    """What a shell is given for a line, and the modules that it took."""
    words = {"bash": {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}}.get(
        shell, {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    )
    environment = {**os.environ, "_PERCPU_EMU_COMPLETE": f"complete_{shell}", **words}
    done = subprocess.run(
        [sys.executable, "-c", MODULES + COMPLETE], capture_output=True, text=True, check=False, env=environment
    )
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_completes_scenarios_and_imports_nothing_slow(shell: str) -> None:
    said, modules = completed(shell, "percpu-emu explore raw-add-i")
    assert "raw-add-interrupt" in said
    assert "raw-add-interrupt-fixed" in said
    assert "percpu_emu.cli.completing" in modules
    assert not {"numba", "numpy", "multiprocess", "loguru"} & modules


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    environment = {**os.environ, "_PERCPU_EMU_COMPLETE": f"source_{shell}"}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE], capture_output=True, text=True, check=False, env=environment
    )
    assert "_PERCPU_EMU_COMPLETE" in done.stdout
    assert f"complete_{shell}" in done.stdout


def test_only_what_a_command_takes_is_completed() -> None:
    runs, explores = ([name for name, _ in f("dying")] for f in (completing.scenarios, completing.explored))
    assert (runs, explores) == (["dying-cgroups"], [])
    known = {*shipped(), *bundled_files("workers", ".py"), *PROTOCOLS, *profile_names()}
    assert {name for name, _ in completing.anything("")} >= known
    assert [name for name, _ in completing.protocols("")] == list(PROTOCOLS)
    assert [name for name, _ in completing.kernels("linux")] == list(profile_names())


def test_folders_and_scenario_files_are_completed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.toml").touch()
    (tmp_path / "mine.py").touch()
    found = [name for name, _ in completing.explored(f"{tmp_path}/mi")]
    assert found == [f"{tmp_path}/mine/", f"{tmp_path}/mine.py", f"{tmp_path}/mine.toml"]
