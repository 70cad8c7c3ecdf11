"""An interrupt spins for a word that is set and cleared again."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, smp_cond_load_acquire, smp_mb, warn_on, write_once

WORD = STATIC + 0


def waiter() -> Program[None]:
    yield smp_cond_load_acquire(WORD, 1)
    yield warn_on(1)


def pulse() -> Program[None]:
    yield write_once(WORD, 1)
    yield write_once(WORD, 0)


def down() -> Program[None]:
    yield smp_mb()
