"""A program divides by a word that is 0."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, read_once, write_once

WORD = STATIC + 0


def divides() -> Program[None]:
    x = yield read_once(WORD)
    yield write_once(WORD, 6 // x)
