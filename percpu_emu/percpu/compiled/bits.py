"""The map of one block as 16 words: bit `i` is granule `i`, and a one means free."""

from __future__ import annotations

from typing import Final

from percpu_emu.percpu.block import BLOCK_BITS
from percpu_emu.shm.compiling import Row, inner

WORD_BITS: Final = 64
BLOCK_WORDS: Final = BLOCK_BITS // WORD_BITS


@inner
def lowest_one(word: int) -> int:
    """Index of the lowest one of a word that is not 0."""
    one = word & -word
    if one < 0:
        return 63
    return highest_one(one)


@inner
def highest_one(word: int) -> int:
    """Index of the highest one of a word that is not 0."""
    if word < 0:
        return 63
    index = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word >> step:
            word >>= step
            index += step
    return index


@inner
def next_of(words: Row, start: int, flip: int) -> int:
    """The first one at or after `start`, or the first zero where `flip` is -1; BLOCK_BITS where there is none."""
    if start >= BLOCK_BITS:
        return BLOCK_BITS
    index = start >> 6
    word = (words[index] ^ flip) & (-1 << (start & 63))
    while word == 0:
        index += 1
        if index == BLOCK_WORDS:
            return BLOCK_BITS
        word = words[index] ^ flip
    return index * WORD_BITS + lowest_one(word)


@inner
def zero_below(words: Row, start: int) -> int:
    """The last zero before `start`; -1 where there is none."""
    if start == 0:
        return -1
    index = (start - 1) >> 6
    shift = 63 - ((start - 1) & 63)
    word = (~words[index] << shift) >> shift if shift else ~words[index]
    if shift:
        word &= (1 << (64 - shift)) - 1
    while word == 0:
        index -= 1
        if index < 0:
            return -1
        word = ~words[index]
    return index * WORD_BITS + highest_one(word)


@inner
def flip_range(words: Row, start: int, end: int) -> None:
    """Turn [`start`, `end`) over."""
    while start < end:
        index = start >> 6
        stop = min((index + 1) * WORD_BITS, end)
        mask = -1 << (start & 63)
        if stop & 63:
            mask &= (1 << (stop & 63)) - 1
        words[index] ^= mask
        start = stop


@inner
def find_run(words: Row, length: int, align: int) -> int:
    """The lowest multiple of `align` at which `length` ones stand; -1 where none does."""
    start = next_of(words, 0, 0)
    while start < BLOCK_BITS:
        end = next_of(words, start, -1)
        place = -(-start // align) * align
        if place + length <= end:
            return place
        start = next_of(words, end, 0)
    return -1
