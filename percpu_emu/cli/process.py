"""The process of a command: its signals, its three open files and its environment."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def settle_in() -> None:
    """Make it one to rely on: SIGTERM ends it in order, three files are open, numba and numpy are as they should be."""
    signal.signal(signal.SIGTERM, _terminated)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # else the next file that is opened would be it
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w"))
    for name in [name for name in os.environ if name.startswith("NUMBA_")]:
        del os.environ[name]  # NUMBA_DISABLE_JIT, for one, leaves nothing to run
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's algebra is not used; where no thread may start, it raises SIGINT


def _terminated(_number: int, _frame: FrameType | None) -> None:
    from percpu_emu.cli.errors import Terminated

    raise Terminated
