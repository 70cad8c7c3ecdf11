"""The command line in a process of its own, forked: everything is imported already, which saves two seconds each."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NoReturn, TextIO

from percpu_emu.cli.main import main

PATIENCE = 300.0
"""The first command on a machine compiles, and a slow machine takes long for it."""


def without_compiling(stderr: str) -> str:
    """What a command says besides that it compiles, as it does where the cache is empty."""
    return re.sub(r"^percpu-emu: compil(ing .*, .*|ed in .* s)\n", "", stderr, flags=re.M)


def command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `percpu-emu ARGUMENTS`: its exit code and what it printed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        pid = os.fork()
        if pid == 0:
            _run(arguments, cwd, out, err)
        code = _exit_code(pid)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


def _run(arguments: tuple[str, ...], cwd: Path | None, out: TextIO, err: TextIO) -> NoReturn:
    code = 1
    try:
        for number, file in ((1, out), (2, err)):
            os.dup2(file.fileno(), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.resetwarnings()
        if cwd is not None:
            os.chdir(cwd)
        sys.argv = ["percpu-emu", *arguments]
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _exit_code(pid: int) -> int:
    deadline = time.monotonic() + PATIENCE
    while (found := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(found[1])
