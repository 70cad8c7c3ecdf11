"""A flag is polled that another context raises, or leaves as it is."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, cpu_relax, read_once, write_once

FLAG = STATIC + 0


def polls() -> Program[None]:
    while (yield read_once(FLAG)) == 0:
        yield cpu_relax()


def sets() -> Program[None]:
    yield write_once(FLAG, 1)


def clears() -> Program[None]:
    yield write_once(FLAG, 0)
