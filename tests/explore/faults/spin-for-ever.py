"""A lock is taken and never released, the others poll."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, cpu_relax, xchg

LOCK = STATIC + 0


def lock_and_forget() -> Program[None]:
    while (yield xchg(LOCK, 1)):
        yield cpu_relax()
