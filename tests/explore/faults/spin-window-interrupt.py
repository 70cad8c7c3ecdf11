"""An interrupt spins for a word that is set and cleared again: it may come too late."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, smp_cond_load_acquire, smp_mb, write_once

WORD = STATIC + 0


def waiter() -> Program[None]:
    yield smp_cond_load_acquire(WORD, 1)
    yield smp_mb()


def pulse() -> Program[None]:
    yield write_once(WORD, 1)
    yield write_once(WORD, 0)
