"""The cache of compiled code, for people: what is in it, and empty it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typer

from percpu_emu.cli.errors import WrongArgument
from percpu_emu.cli.reading import print_json
from percpu_emu.shm.code_folder import named_folder, why_not_trusted

_OURS: Final = ("*.code", "*.new")


@dataclass(frozen=True)
class Kept:
    """The folder, and what it keeps."""

    folder: str
    files: int
    bytes: int
    not_used: str
    """Why nothing in it is used, "" if it is."""

    def text(self) -> str:
        """For people."""
        size = f"{self.files} compiled functions, {self.bytes / 1e6:.1f} MB"
        return f"{self.folder}: {size}" + (f"\nnot used: {self.not_used}" if self.not_used else "")


def kept_code() -> Kept:
    """What is in the cache. Raises OSError for a folder that cannot be read."""
    folder = named_folder()
    if not folder.exists():
        return Kept(str(folder), 0, 0, "")
    sizes = [path.lstat().st_size for path in _files(folder)]
    return Kept(str(folder), len(sizes), sum(sizes), why_not_trusted(folder.stat()))


def clear() -> Kept:
    """Remove the files of the cache, and the folder if nothing else is in it; what was there."""
    kept, folder = kept_code(), named_folder()
    for path in _files(folder):
        path.unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
    return kept


def _files(folder: Path) -> list[Path]:
    return [path for pattern in _OURS for path in folder.glob(pattern)]


def show_or_clear(what: str, seed: int | None, *, as_json: bool) -> None:
    """`percpu-emu cache show` and `clear`. Raises WrongArgument for anything else."""
    if what not in ("show", "clear"):
        raise WrongArgument(f"cache {what}: found {what!r}, allowed: show, clear")
    kept = clear() if what == "clear" else kept_code()
    if as_json:
        print_json("cache", what, asdict(kept), found=True, seed=seed)
    else:
        typer.echo(f"removed from {kept.text()}" if what == "clear" else kept.text())
