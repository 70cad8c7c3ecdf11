"""What ships with the package beside its code: scenarios and workers."""

from __future__ import annotations

from pathlib import Path


def bundled(kind: str) -> Path:
    """The folder of that kind: inside the installed package, or at the top of a source checkout."""
    package = Path(__file__).parent
    installed = package / kind
    return installed if installed.is_dir() else package.parent / kind


def bundled_files(kind: str, suffix: str) -> dict[str, Path]:
    """Name -> file, of all that ships of a kind: a folder's own files first, then those of its folders."""
    return {path.stem: path for path in sorted(bundled(kind).rglob(f"*{suffix}")) if not path.stem.startswith("_")}
