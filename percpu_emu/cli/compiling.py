"""Says on stderr that code is being compiled, which takes long once on a machine, and how long it took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import typer
from numba.core import event as numba_event

from percpu_emu.cli import talk
from percpu_emu.scenario.wording import encodable
from percpu_emu.shm.code_folder import code_folder

LONG: Final = 0.5
"""Seconds of compiling from which on it is said: a program of a few lines takes less."""
_KIND: Final = "numba:compile"


@contextmanager
def compiling_told(what: str) -> Iterator[None]:
    """A command that may compile that. Where everything is kept from before, nothing is said."""
    compiling = _Compiling(what)
    numba_event.register(_KIND, compiling)
    try:
        yield
    finally:
        numba_event.unregister(_KIND, compiling)
        compiling.close()


class _Compiling(numba_event.Listener):  # type: ignore[misc]
    """Listens to numba, which tells of each function that it compiles, and of those that it compiles for it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._process = os.getpid()
        """CPU processes are forked from it, and say nothing."""
        self._seconds, self._begun, self._open, self._said = 0.0, 0.0, 0, False

    def on_start(self, event: Any) -> None:  # noqa: ARG002, numba gives it
        """A function is compiled."""
        now = time.monotonic()
        if self._open == 0:
            self._begun = now
        self._open += 1
        if not self._said and self._seconds + now - self._begun >= LONG:
            self._said = True
            self._say(f"compiling {self._what}, {_how_often()}")

    def on_end(self, event: Any) -> None:  # noqa: ARG002, numba gives it
        """It is done, or it has failed."""
        self._open -= 1
        if self._open == 0:
            self._seconds += time.monotonic() - self._begun

    def close(self) -> None:
        """Say how long it took."""
        if self._said:
            self._say(f"compiled in {self._seconds:.1f} s")

    def _say(self, text: str) -> None:
        if os.getpid() != self._process:
            return
        with suppress(OSError):  # what is wrong with stderr is no reason not to compile
            if talk.has_log():
                talk.console().print(f"INFO: {text}", markup=False, highlight=False)
            elif not talk.is_quiet():
                typer.echo(f"percpu-emu: {encodable(text)}", err=True)


def _how_often() -> str:
    folder = code_folder()
    return "as nothing is kept (`percpu-emu cache show`)" if folder is None else f"once, and kept in {folder}"
