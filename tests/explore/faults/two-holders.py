"""Two holders drop their reference by a load and a store."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, kfree, kzalloc, read_once, write_once

REFERENCE = STATIC + 0


def setup() -> Program[None]:
    word = yield kzalloc(8)
    yield write_once(word, 2)
    yield write_once(REFERENCE, word)


def put() -> Program[None]:
    word = yield read_once(REFERENCE)
    x = yield read_once(word)
    yield write_once(word, x - 1)
    if x == 1:
        yield kfree(word)
