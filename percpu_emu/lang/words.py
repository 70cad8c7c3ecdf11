"""The numbers of the language: 64-bit two's complement, as a `long` of the kernel, in every engine."""

from __future__ import annotations

from typing import Final

LONG_MIN: Final = -(1 << 63)
LONG_MAX: Final = (1 << 63) - 1
ULONG_MAX: Final = -1
"""All bits set: an `unsigned long` is the same word, read otherwise."""
UINT_MAX: Final = (1 << 32) - 1


def wrap(value: int) -> int:
    """`value` reduced to a signed 64-bit word, as the processor does."""
    value = int(value)  # not a Long, whose arithmetic would come back here
    return value if LONG_MIN <= value <= LONG_MAX else ((value - LONG_MIN) & ((1 << 64) - 1)) + LONG_MIN


class Long(int):
    """A word in the reference engine: Python's integer whose arithmetic wraps, so that it agrees with compiled code.

    Shift counts are taken modulo 64; division and modulo round as Python's do.
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
        return Long(int(self) << (other & 63))

    def __rlshift__(self, other: int) -> Long:
        return Long(other << (int(self) & 63))

    def __rshift__(self, other: int) -> Long:
        return Long(int(self) >> (other & 63))

    def __rrshift__(self, other: int) -> Long:
        return Long(other >> (int(self) & 63))

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
