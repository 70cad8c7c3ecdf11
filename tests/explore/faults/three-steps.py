"""A fault three steps from the start, and a long way behind them."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, read_once, this_cpu_add, warn_on, write_once

WORD = STATIC + 0


def raises() -> Program[None]:
    yield write_once(WORD, 1)
    for _ in range(10):
        yield this_cpu_add(8, 1)
    yield write_once(WORD, 0)


def looks() -> Program[None]:
    x = yield read_once(WORD)
    yield warn_on(x)
