"""Bit fields, as C has them: to write one is to read the word, change some bits, and write the whole word.

    yield from write_bits(page.dirty, 1)

They are programs, since two accesses are two yields: what another CPU has written into a neighbour in between is lost.
"""

from __future__ import annotations

from typing import Any

from percpu_emu.lang.ops import Program, read_once, write_once
from percpu_emu.lang.structures import SHIFT_AT, WIDTH_AT, Bits


def read_bits(field: Bits[Any]) -> Program[int]:
    """Read the field's word by one plain load. Gives the field, which has no sign."""
    word: int = yield read_once(field & (1 << SHIFT_AT) - 1)
    return (word >> (field >> SHIFT_AT & 63)) & ((1 << (field >> WIDTH_AT)) - 1)


def write_bits(field: Bits[Any], value: int) -> Program[None]:
    """Read the field's word, put the lower bits of `value` into the field, and write the whole word."""
    shift = field >> SHIFT_AT & 63
    mask = (1 << (field >> WIDTH_AT)) - 1
    word = yield read_once(field & (1 << SHIFT_AT) - 1)
    word = word & ~(mask << shift) | (value & mask) << shift
    yield write_once(field & (1 << SHIFT_AT) - 1, word)
