"""A store goes to the word behind an object of 8 bytes."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, kzalloc, write_once


def store() -> Program[None]:
    word = yield kzalloc(8)
    yield write_once(word + 1, 1)
