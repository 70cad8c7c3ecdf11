"""Compiled modules: made from text, kept with their machine code in a cache folder between runs."""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from percpu_emu import shm

_PROLOGUE: Final = """\
# Made by percpu_emu.lang; numba keeps its machine code beside this file.
from numba import cfunc, njit, types
from percpu_emu.lang import primitives as ops
from percpu_emu.lang.context import Context
from percpu_emu.shm.compiling import inner

WORD = types.int64
BASES = types.Array(WORD, 1, "C")


@inner
def context(bases):
    return Context(bases[0], bases[1], bases[2], bases[3], bases[4], bases[5])
"""


@cache
def load_compiled(text: str) -> ModuleType:
    """The module of that text, which may use `njit`, `inner`, WORD, BASES, `ops` (primitives) and `context(bases)`.

    An entry point takes its context as the array `bases`: called from Python, an array costs a tenth of a microsecond
    where a named tuple costs four.
    """
    path = _path_of(text)
    if not path.exists():
        _write_whole(path, f"{_PROLOGUE}\n\n{text}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _path_of(text: str) -> Path:
    digest = hashlib.sha256(_foundation() + text.encode()).hexdigest()[:20]
    return cache_folder() / f"image_{digest}.py"


@cache
def _foundation() -> bytes:
    """What compiled code depends on besides its text: the primitives, and who compiled them on what."""
    import llvmlite
    import numba

    folders = [Path(__file__).parent, Path(shm.__file__).parent]
    sources = sorted(path for folder in folders for path in folder.rglob("*.py"))
    versions = f"{sys.version}{numba.__version__}{llvmlite.__version__}{platform.machine()}"
    return b"".join(path.read_bytes() for path in sources) + versions.encode()


@cache
def cache_folder() -> Path:
    """`$PERCPU_EMU_CACHE`, else `percpu-emu` in the user's cache folder; where neither can be written, a passing one.

    A passing folder is removed when the process that made it ends, and every run compiles anew.
    """
    named = os.environ.get("PERCPU_EMU_CACHE")
    try:
        users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "percpu-emu"
        folder = Path(named) if named else users
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # the latter from `Path.home`, for a user whom the system does not know
        passing = Path(tempfile.mkdtemp(prefix="percpu-emu-"))
        owner = os.getpid()
        atexit.register(lambda: shutil.rmtree(passing, ignore_errors=True) if os.getpid() == owner else None)
        return passing


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that another process sees all of it or none; the cache may have been cleared meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".new", delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)
