"""A file of programs, executed in a process of its own before it is loaded: it may define things, and nothing else.

This finds mistakes and accidents. It is no protection from a hostile file, which may act differently when it is loaded:
Python executes what it loads, with the rights of the user.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import importlib.util
import inspect
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from percpu_emu.shm import die_with

SECONDS: Final = 10.0
"""How long a file may take; one that only defines takes milliseconds."""
_GRACE: Final = 1.0
"""Seconds more, for a file whose code does not come back to the interpreter."""
WHAT: Final = {
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.spawn": "starts a process",
    "os.system": "starts a process",
    "subprocess.Popen": "starts a process",
    "os.exec": "replaces its process",
    "os.chdir": "changes the working directory",
    "os.kill": "sends a signal",
    "os.killpg": "sends a signal",
    "signal.pthread_kill": "sends a signal",
}
"""Audit events of Python that a file of programs may not raise."""


def fault_of(path: Path) -> str:
    """What a file does besides defining: "path, line 3: prints"; "" for nothing."""
    parent, (source, sink) = os.getpid(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _try_out(path, parent, sink)
    os.close(sink)
    try:
        said = _read(source, time.monotonic() + SECONDS + _GRACE)
    finally:
        os.close(source)
        for kill, number in ((os.killpg, child), (os.kill, child)):  # its group, if it has come so far
            with contextlib.suppress(ProcessLookupError):
                kill(number, signal.SIGKILL)
        os.waitpid(child, 0)
    if said is None:
        return f"{path}: does not end within {SECONDS:.0f} s"
    return said.removeprefix("ok") if said else f"{path}: ends its process"


def _read(source: int, deadline: float) -> str | None:
    """All that comes from a pipe, None if its other end is still open at the deadline."""
    found = b""
    while select.select([source], [], [], max(0.0, deadline - time.monotonic()))[0]:
        more = os.read(source, 4096)
        if not more:
            return found.decode(errors="replace")
        found += more
    return None


class _Refused(BaseException):
    """Not an Exception: a file that catches these would go on."""


class _Trial:
    """Executes a file, and notes the first thing that it does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = str(path.absolute())
        """As its code names it."""
        self.fault = ""
        self.begun = False

    def refuse(self, what: str) -> NoReturn:
        """End the file for what it does."""
        self.fault = self.fault or f"{self._path}{self._line()}: {what}"
        raise _Refused

    def _line(self) -> str:
        """Where the file is."""
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back
        return f", line {frame.f_lineno}" if frame is not None else ""

    def audit(self, event: str, _arguments: tuple[object, ...]) -> None:
        """Python's audit hook."""
        if self.begun and event in WHAT:
            self.refuse(WHAT[event])

    def refusing(self, what: str) -> Callable[..., NoReturn]:
        """A function that cannot be called."""
        return lambda *_, **__: self.refuse(what)

    def write(self, text: str) -> int:
        """As the file's stdout: print ends with a line's end, which alone says nothing."""
        if text:
            self.refuse("prints")
        return 0

    def flush(self) -> None:
        """As the file's stdout."""

    def execute(self) -> None:
        """Execute the file."""
        spec = importlib.util.spec_from_file_location(f"trial_of_{self._path.stem}", self._file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # as dataclasses want it
        self.begun = True
        try:
            spec.loader.exec_module(module)
        except _Refused:
            pass
        except BaseException as error:
            self.fault = self.fault or f"{self._path}{_raised_at(error, self._file)}: {_said(error)}"
        finally:
            self.begun = False


def _raised_at(error: BaseException, file: str) -> str:
    lines: list[int | None] = []
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == file:
            lines.append(at.tb_lineno)
        at = at.tb_next
    if not lines and isinstance(error, SyntaxError) and error.filename == file:
        lines = [error.lineno]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    return f"cannot be loaded: {type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"


def _try_out(path: Path, parent: int, sink: int) -> NoReturn:
    """The process: it says what the file did, and ends; it runs no handler or hook of the process it comes from."""
    end = os._exit
    try:
        os.setpgid(0, 0)
        die_with(parent)
        trial = _Trial(path)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, trial.refusing(f"does not end within {SECONDS:.0f} s"))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        stdout: Any = trial
        sys.stdout = stdout
        sys.addaudithook(trial.audit)
        os._exit = trial.refusing("ends its process")
        for place, name in ((_thread, "start_new_thread"), (threading.Thread, "start")):
            setattr(place, name, trial.refusing("starts a thread"))
        atexit.register = trial.refusing("registers what runs at the end of the process")
        trial.execute()
        os.write(sink, (trial.fault or "ok").encode(errors="backslashreplace"))
    finally:
        end(0)
