"""The layout is the architecture: a floor imports from floors below it only (DESIGN)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import percpu_emu

PACKAGE = Path(percpu_emu.__file__).parent
FLOORS = [
    *("shm", "percpu", "lang", "kernel", "explore", "machine", "replay"),
    *("scenario", "report", "api", "pytest_plugin", "cgroupfs", "web", "cli"),
]
SIDE_BY_SIDE = ["explore", "machine", "replay"]
FACES = ["pytest_plugin", "cgroupfs", "web"]
BELOW_ALL = {"bundled"}
"""Where the package's files are: not a floor, and it imports none."""


def imported_floors(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            parts = module.split(".")
            if parts[0] == "percpu_emu":
                # `from percpu_emu import shm` names the floor behind the word import
                names = [alias.name for alias in node.names] if len(parts) == 1 else [parts[1]]
                found.update(names)
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_downwards_only(floor: str) -> None:
    allowed = {*FLOORS[: FLOORS.index(floor) + 1], *BELOW_ALL, "__version__"}
    for path in (PACKAGE / floor).rglob("*.py"):
        assert imported_floors(path) <= allowed, path


@pytest.mark.parametrize("floor", SIDE_BY_SIDE)
def test_search_machine_and_replay_stand_side_by_side(floor: str) -> None:
    others = {*SIDE_BY_SIDE} - {floor}
    for path in (PACKAGE / floor).rglob("*.py"):
        assert not others & imported_floors(path), path


@pytest.mark.parametrize("floor", FACES)
def test_faces_do_not_import_each_other(floor: str) -> None:
    for path in (PACKAGE / floor).rglob("*.py"):
        assert not ({*FACES} - {floor}) & imported_floors(path), path


def test_every_folder_of_the_package_is_a_floor() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {"workers", "scenarios"} == set(FLOORS)


def test_an_import_upwards_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("from percpu_emu.machine import Machine\nimport percpu_emu.cli.main\nfrom percpu_emu import shm\n")
    assert imported_floors(path) == {"machine", "cli", "shm"}
