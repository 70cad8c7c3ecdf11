"""A WARN_ON fires, then its context waits for ever."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, wait_until, warn_on

FLAG = STATIC + 0


def hangs() -> Program[None]:
    yield warn_on(1)
    yield wait_until(FLAG, 1)


def other() -> Program[None]:
    yield warn_on(0)
