"""Files that a command is to write: what cannot be written is refused before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from percpu_emu.cli.errors import WrongArgument


def refuse_unwritable(files: Mapping[str, Path | None]) -> None:
    """Raise WrongArgument where a file, given by its option, has no folder or is one."""
    for option, path in files.items():
        if path is not None and not path.parent.is_dir():
            raise WrongArgument(f"{option} {path}: there is no folder {path.parent}")
        if path is not None and path.is_dir():
            raise WrongArgument(f"{option} {path}: it is a folder")
