"""The folder that keeps compiled code between runs: which one it is, whether it can be trusted, whole files in and out.

A file holds machine code and pickles, which a process that loads it executes. So a file is used only if no other user
can have written it and its checksum fits. A file that is not used is no error: the code is compiled anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Final

log: Final = logging.getLogger(__name__)
_FORMAT: Final = b"percpu-emu compiled code 1\n"
_DIGEST: Final = hashlib.sha256().digest_size
_ABANDONED: Final = 3600.0
"""Seconds after which a file that is not whole belongs to no process that still writes it."""


def named_folder() -> Path:
    """`$PERCPU_EMU_CACHE`, else `percpu-emu` in the user's cache folder. RuntimeError where there is no home."""
    named = os.environ.get("PERCPU_EMU_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "percpu-emu"


@cache
def code_folder() -> Path | None:
    """The folder, made if there is none yet; None where it cannot be written or is not trusted: nothing is kept."""
    try:
        folder = named_folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if why := why_not_trusted(folder.stat()):
            log.warning("%s is not used as the cache of compiled code: %s", folder, why)
            return None
        with tempfile.TemporaryFile(dir=folder):
            pass
        _remove_abandoned(folder)
    except (OSError, RuntimeError) as error:
        log.debug("no cache of compiled code: %s", error)
        return None
    return folder


def why_not_trusted(status: os.stat_result) -> str:
    """Why another user may have written it, with the cure; "" if none can have."""
    if status.st_uid != os.geteuid():
        return f"user {status.st_uid} owns it; remove it, or name a folder of your own in PERCPU_EMU_CACHE"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users may write to it; `percpu-emu cache clear` removes it, chmod go-w keeps it"
    return ""


def read(name: str) -> bytes | None:
    """What was kept under a name; None if there is nothing, or nothing that can be used."""
    folder = code_folder()
    if folder is None:
        return None
    try:
        with os.fdopen(os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            why = why_not_trusted(os.fstat(file.fileno()))
            content = b"" if why else file.read()
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.debug("%s: %s", name, error)
        return None
    if why:
        log.warning("%s is not used: %s", folder / name, why)
        return None
    head, kept = content[: len(_FORMAT) + _DIGEST], content[len(_FORMAT) + _DIGEST :]
    if head != _FORMAT + _checksum(name, kept):
        log.debug("%s is damaged: compiled anew", folder / name)
        return None
    return kept


def write(name: str, content: bytes) -> None:
    """Keep something under a name: another process sees all of it or none. Where that fails nothing is kept."""
    folder = code_folder()
    if folder is None:
        return
    path = folder / f"{name}.{os.getpid()}.new"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_FORMAT + _checksum(name, content) + content)
        path.replace(folder / name)
    except OSError as error:
        log.debug("%s is not kept: %s", name, error)
        with contextlib.suppress(OSError):
            path.unlink()


def _checksum(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + content).digest()


def _remove_abandoned(folder: Path) -> None:
    """Remove what a process that was killed in mid-write has left."""
    for path in folder.glob("*.new"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED:
                path.unlink()
