"""A user's check of a state: what it may say, and how long it may take."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, TypeAlias

from percpu_emu.explore.model import SetupFailed

Judge: TypeAlias = Callable[[Any], str | None]
"""What is wrong with a state, or None."""
SECONDS: Final = 10.0
"""Processor time that one call may take; a check of a few words takes microseconds."""


class _TooLong(BaseException):
    """Not an Exception: a check that catches these would go on."""


def said_by(name: str, judge: Judge, view: object) -> str | None:
    """What the check `explore.<name>` says of a state. Raises SetupFailed where it gives no sentence and not None."""
    try:
        with _limit():
            said: object = judge(view)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a user's function raises
        what = f"{type(error).__name__}: {error}"
        if isinstance(error, _TooLong):
            what = f"does not end within {SECONDS:g} s of processor time"
        raise SetupFailed(f"explore.{name}: {judge.__name__}: {what}, where a sentence or None is needed") from error
    if said is not None and not isinstance(said, str):
        raise SetupFailed(f"explore.{name}: {judge.__name__}: gave {said!r:.60}, allowed: a sentence, or None")
    return said


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    """Processor time: the limit holds on a machine with other work, too. A thread other than the first has none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _raise_too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, 1.0)  # again each second, should the check catch it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def _raise_too_long(_number: int, _frame: FrameType | None) -> None:
    raise _TooLong
