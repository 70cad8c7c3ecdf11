"""A task sleeps until another one of its CPU has raised a flag."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, wait_until, write_once

FLAG = STATIC + 0


def sleeper() -> Program[None]:
    yield wait_until(FLAG, 1)


def waker() -> Program[None]:
    yield write_once(FLAG, 1)
