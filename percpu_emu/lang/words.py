"""The numbers of the language: 64-bit two's complement, as a `long` of the kernel, in every engine."""

from __future__ import annotations

from typing import Final

BITS: Final = 64
LONG_MIN: Final = -(1 << 63)
LONG_MAX: Final = (1 << 63) - 1
ULONG_MAX: Final = -1
"""All bits set: an `unsigned long` is the same word, read otherwise."""
UINT_MAX: Final = (1 << 32) - 1


def wrap(value: int) -> int:
    """`value` reduced to a signed 64-bit word, as the processor does."""
    value = int(value)  # not a Long, whose arithmetic would come back here
    return value if LONG_MIN <= value <= LONG_MAX else ((value - LONG_MIN) & ((1 << 64) - 1)) + LONG_MIN


def shift_count(count: int) -> int:
    """`count`, by which a word can be shifted. Raises ValueError."""
    if not 0 <= count < BITS:
        raise ValueError(f"a word has {BITS} bits: it cannot be shifted by {count:d}")
    return int(count)


class Long(int):
    """A word in the reference engine: Python's integer whose arithmetic wraps, so that it agrees with compiled code.

    Division and modulo round as Python's do. A shift by a count outside 0..63 has no result: ValueError, as division by
    zero has none.
    """

    __slots__ = ()

    def __new__(cls, value: int) -> Long:  # noqa: D102 - as int's
        return super().__new__(cls, wrap(value))

    def __add__(self, other: int) -> Long:
        return Long(int(self) + other)

    __radd__ = __add__

    def __sub__(self, other: int) -> Long:
        return Long(int(self) - other)

    def __rsub__(self, other: int) -> Long:
        return Long(other - int(self))

    def __mul__(self, other: int) -> Long:
        return Long(int(self) * other)

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> Long:
        return Long(int(self) // other)

    def __rfloordiv__(self, other: int) -> Long:
        return Long(other // int(self))

    def __mod__(self, other: int) -> Long:
        return Long(int(self) % other)

    def __rmod__(self, other: int) -> Long:
        return Long(other % int(self))

    def __lshift__(self, other: int) -> Long:
        return Long(int(self) << shift_count(other))

    def __rlshift__(self, other: int) -> Long:
        return Long(other << shift_count(self))

    def __rshift__(self, other: int) -> Long:
        return Long(int(self) >> shift_count(other))

    def __rrshift__(self, other: int) -> Long:
        return Long(other >> shift_count(self))

    def __and__(self, other: int) -> Long:
        return Long(int(self) & other)

    __rand__ = __and__

    def __or__(self, other: int) -> Long:
        return Long(int(self) | other)

    __ror__ = __or__

    def __xor__(self, other: int) -> Long:
        return Long(int(self) ^ other)

    __rxor__ = __xor__

    def __neg__(self) -> Long:
        return Long(-int(self))

    def __pos__(self) -> Long:
        return self

    def __invert__(self) -> Long:
        return Long(~int(self))

    def __abs__(self) -> Long:
        return Long(abs(int(self)))
