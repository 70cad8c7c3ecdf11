"""The preload library, built on the spot: for programs that ask the mount instead of the files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("shim.c")


class NoCompiler(OSError):
    """There is no C compiler, or it cannot make a library."""


def build() -> bytes:
    """The library. Raises NoCompiler."""
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler) is None:
        raise NoCompiler(f"--shim needs a C compiler: {compiler} is not installed")
    with tempfile.TemporaryDirectory(prefix="percpu-emu-") as folder:
        made = Path(folder) / "shim.so"
        words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(SOURCE), "-ldl"]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise NoCompiler(f"--shim needs a C compiler with the headers of libc: {done.stderr.strip()}")
        return made.read_bytes()
