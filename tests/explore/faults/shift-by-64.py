"""A program shifts by as many bits as a word has."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, read_once, write_once

WORD = STATIC + 0


def shifts() -> Program[None]:
    yield write_once(WORD, 64)
    x = yield read_once(WORD)
    yield write_once(WORD, 1 << x)
