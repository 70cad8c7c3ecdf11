"""Bitmaps held in Python integers: bit `i` of the integer is entry `i`; and arithmetic on powers of two."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def align_up(value: int, align: int) -> int:
    """The first multiple of `align` (any positive number) at or above `value`."""
    return -(-value // align) * align


def bit_range(start: int, end: int) -> int:
    """Ones at [`start`, `end`), zeroes elsewhere."""
    return (1 << end) - (1 << start)


def lowest(bitmap: int) -> int:
    """Index of the lowest one; -1 in an empty bitmap."""
    return (bitmap & -bitmap).bit_length() - 1


def runs(bitmap: int) -> Iterator[tuple[int, int]]:
    """Every run of ones as [start, end), lowest first."""
    while bitmap:
        start = lowest(bitmap)
        above = bitmap + (1 << start)  # the carry runs through the ones and comes to rest in the zero behind them
        end = lowest(above)
        yield start, end
        bitmap &= above


def find_run(bitmap: int, length: int, align: int, width: int) -> int:
    """The lowest multiple of `align` at which `length` ones stand in a bitmap of `width` bits; -1 if none does."""
    covered = 1
    while covered < length:  # after each turn a one means: `covered` ones stand here
        step = min(covered, length - covered)
        bitmap &= bitmap >> step
        covered += step
    return lowest(bitmap & _every(align, width))


@cache
def _every(align: int, width: int) -> int:
    return sum(1 << position for position in range(0, width, align))
