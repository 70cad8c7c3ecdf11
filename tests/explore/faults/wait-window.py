"""A word is set and cleared again while its waiter's CPU may go."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, smp_mb, wait_until, warn_on, write_once

WORD = STATIC + 0


def waiter() -> Program[None]:
    yield wait_until(WORD, 1)
    yield warn_on(1)


def pulse() -> Program[None]:
    yield write_once(WORD, 1)
    yield write_once(WORD, 0)


def down() -> Program[None]:
    yield smp_mb()
