"""A pytest plugin: the virtual engine as plain Python (NUMBA_DISABLE_JIT=1): a changed source needs no compiling.

numba's intrinsics have no Python body; what the engine uses of them is replaced before it is imported.
"""

from __future__ import annotations

import warnings
from typing import Any

import numba

from percpu_emu.lang import arithmetic
from percpu_emu.lang.words import wrap

assert numba.config.DISABLE_JIT, "for NUMBA_DISABLE_JIT=1 only"  # type: ignore[attr-defined]
warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)


def _add(a: Any, b: Any) -> int:
    return wrap(int(a) + int(b))


def _sub(a: Any, b: Any) -> int:
    return wrap(int(a) - int(b))


def _mul(a: Any, b: Any) -> int:
    return wrap(int(a) * int(b))


arithmetic.add, arithmetic.sub, arithmetic.mul = _add, _sub, _mul
