"""Arithmetic on words for compiled code: it wraps, as the processor's does.

numba's own `+ - *` on signed integers tell LLVM that they never overflow, and LLVM then decides comparisons by that:
`BIAS + x <= 0` came out true for a reference count of 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from percpu_emu.lang.words import LONG_MAX
from percpu_emu.shm.compiling import inner, intrinsic


def _instruction(name: str) -> Callable[..., int]:
    @intrinsic
    def arithmetic(_typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ARG001 - numba reads the arity off this signature
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return types.int64(types.int64, types.int64), codegen

    return arithmetic


add = _instruction("add")
sub = _instruction("sub")
mul = _instruction("mul")


@inner
def neg(a: int) -> int:
    """`-a`; the most negative word stays as it is."""
    return sub(0, a)


@inner
def absolute(a: int) -> int:
    """`abs(a)`; the most negative word stays as it is."""
    return sub(0, a) if a < 0 else a


@inner
def floor_div(a: int, b: int) -> int:
    """`a // b` with Python's rounding; the most negative word divided by -1 wraps instead of trapping."""
    return sub(0, a) if b == -1 else a // b


@inner
def floor_mod(a: int, b: int) -> int:
    """`a % b`, to go with `floor_div`."""
    return 0 if b == -1 else a % b


@inner
def turns(start: int, stop: int, step: int) -> int:
    """How many numbers `range(start, stop, step)` gives, or 2**63 - 1 of them: the last one is never reached."""
    if step == 0:
        raise ValueError("range() arg 3 must not be zero")
    low, high, stride = (start, stop, step) if step > 0 else (stop, start, neg(step))
    if low >= high:
        return 0
    last = (np.uint64(high) - np.uint64(low) - np.uint64(1)) // np.uint64(stride)
    return int(min(last, np.uint64(LONG_MAX - 1))) + 1
