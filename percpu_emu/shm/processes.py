"""Processes and Unix signals: who ends with whom, and when a signal may raise."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with(parent: int) -> None:
    """Have the calling process killed when its parent ends, however that ends; at once if it has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_THOSE_THAT_RAISE: Final = {signal.SIGINT, signal.SIGTERM, signal.SIGALRM}


class SignalsHeld:
    """Keeps signals whose handlers raise for after the block.

    Compiled code that calls back into Python has no way to pass an exception on: one raised as the callback begins
    would be printed and forgotten, and Ctrl-C with it. What has to be done as a whole is done in such a block, too.

    A class, not a generator: `pthread_sigmask` runs the handlers of what came just before, after it has changed the
    mask, and a generator that raises before its `try` never puts it back.
    """

    def __enter__(self) -> None:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, _THOSE_THAT_RAISE)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
            raise

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


class SignalsLetThrough:
    """Inside `SignalsHeld`: a part that can pass an exception on."""

    def __enter__(self) -> None:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _THOSE_THAT_RAISE)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _THOSE_THAT_RAISE)
