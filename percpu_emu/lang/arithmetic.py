"""Arithmetic on words for compiled code: it wraps, as the processor's does.

numba's own `+ - *` on signed integers tell LLVM that they never overflow, and LLVM then decides comparisons by that:
`BIAS + x <= 0` came out true for a reference count of 3.
"""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.extending import intrinsic


def _instruction(name: str) -> Any:
    @intrinsic
    def arithmetic(_typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ARG001 - numba reads the arity off this signature
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return types.int64(types.int64, types.int64), codegen

    return arithmetic


add = _instruction("add")
sub = _instruction("sub")
mul = _instruction("mul")


@njit
def neg(a: int) -> int:
    """`-a`; the most negative word stays as it is."""
    return sub(0, a)


@njit
def absolute(a: int) -> int:
    """`abs(a)`; the most negative word stays as it is."""
    return sub(0, a) if a < 0 else a


@njit
def floor_div(a: int, b: int) -> int:
    """`a // b` with Python's rounding; the most negative word divided by -1 wraps instead of trapping."""
    return sub(0, a) if b == -1 else a // b


@njit
def floor_mod(a: int, b: int) -> int:
    """`a % b`, to go with `floor_div`."""
    return 0 if b == -1 else a % b
