"""Paths that a user gives: some cannot be paths at all."""

from __future__ import annotations

from pathlib import Path


def is_a_file(path: Path) -> bool:
    """Whether it is a file; a path that cannot be one, by its length or for a NUL in it, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_a_folder(path: Path) -> bool:
    """Whether it is a folder."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
