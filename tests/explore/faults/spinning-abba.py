"""Two locks are taken in opposite orders, by loops that poll."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, cmpxchg, cpu_relax, write_once

FIRST = STATIC + 0
SECOND = STATIC + 1


def lock(word: int) -> Program[None]:
    while (yield cmpxchg(word, 0, 1)):
        yield cpu_relax()


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
