"""What an installation gets: the wheel, in a folder that knows nothing of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel in it, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site-packages"
    with ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_site_packages_gains_the_package_and_nothing_else(installed: Path) -> None:
    folders = {path.name for path in installed.iterdir()}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"percpu_emu"}
    assert len(folders) == 2
    inside = {path.name for path in (installed / "percpu_emu").iterdir()}
    assert {"workers", "scenarios", "py.typed"} <= inside


def test_the_installed_command_runs_a_scenario_in_any_folder(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    where = "import percpu_emu; print(percpu_emu.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(installed))
    run = [sys.executable, "-m", "percpu_emu", "run", "shared-page", "--cgroups", "3", "--cpus", "2"]
    result = subprocess.run(run, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "pass in" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_installed_plugin_explores(installed: Path, tmp_path: Path) -> None:
    """Pytest rewrites the assertions of every module of a package that brings a plugin."""
    shutil.copytree(ROOT / "scenarios" / "litmus", tmp_path / "litmus", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "PYTEST_ADDOPTS": ""}
    session = [sys.executable, "-m", "pytest", "--percpu-emu", "-p", "no:cacheprovider", "litmus"]
    done = subprocess.run(session, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
