"""What ships with the package beside its code: scenarios, workers and kernel profiles."""

from __future__ import annotations

import re
from pathlib import Path


def bundled(kind: str) -> Path:
    """The folder of that kind: inside the installed package, or at the top of a source checkout."""
    package = Path(__file__).parent
    installed = package / kind
    return installed if installed.is_dir() else package.parent / kind


def bundled_files(kind: str, suffix: str) -> dict[str, Path]:
    """Name -> file, of all that ships of a kind: a folder's own files first, then those of its folders."""
    return {path.stem: path for path in sorted(bundled(kind).rglob(f"*{suffix}")) if not path.stem.startswith("_")}


def bundled_kernels() -> dict[str, Path]:
    """Name -> file of the kernel profiles, by version: 5.4 stands before 5.10."""
    profiles = (Path(__file__).parent / "kernel" / "profiles").glob("*.toml")
    return {path.stem: path for path in sorted(profiles, key=_by_version)}


def _by_version(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.stem)]
