"""Processes and Unix signals: who ends with whom, and when a signal may raise."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with(parent: int) -> None:
    """Have the calling process killed when its parent ends, however that ends; at once if it has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_THOSE_THAT_RAISE: Final = {signal.SIGINT, signal.SIGTERM, signal.SIGALRM}


@contextmanager
def signals_held() -> Iterator[None]:
    """Keep signals whose handlers raise for after this block.

    Compiled code that calls back into Python has no way to pass an exception on: one raised as the callback begins
    would be printed and forgotten, and Ctrl-C with it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _THOSE_THAT_RAISE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def signals_let_through() -> Iterator[None]:
    """Inside `signals_held`: a part that can pass an exception on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _THOSE_THAT_RAISE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _THOSE_THAT_RAISE)
