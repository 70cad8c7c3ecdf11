"""Two locks are taken in opposite orders, beside contexts that have to be there."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, atomic_long_add, cmpxchg, wait_until, write_once

FIRST = STATIC + 0
SECOND = STATIC + 1
WORD = STATIC + 2


def increment() -> Program[None]:
    yield atomic_long_add(WORD, 1)


def waiter() -> Program[None]:
    yield wait_until(WORD, 2)


def lock(word: int) -> Program[None]:
    while (yield cmpxchg(word, 0, 1)):
        yield wait_until(word, 0)


def a() -> Program[None]:
    yield from lock(FIRST)
    yield from lock(SECOND)
    yield write_once(SECOND, 0)
    yield write_once(FIRST, 0)


def b() -> Program[None]:
    yield from lock(SECOND)
    yield from lock(FIRST)
    yield write_once(FIRST, 0)
    yield write_once(SECOND, 0)
