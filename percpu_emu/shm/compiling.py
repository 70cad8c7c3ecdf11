"""How functions are compiled: numba's decorators, typed, so that callers are checked against what they call.

What they compile is kept between runs (`kept_code`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import numba
from numba import extending
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature

from percpu_emu.shm.inner_code import InnerCompiler
from percpu_emu.shm.kept_code import KeptCode, KeptInnerCode, keep

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ONLY_CALLED: Final = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": InnerCompiler}
_for_compiled_code: Final = numba.njit(_nrt=False, **_ONLY_CALLED)
_inlined: Final = numba.njit(_nrt=False, forceinline=True, **_ONLY_CALLED)


class Row(Protocol):
    """Words by their index: an array of int64, or the address of one (`explore.walks.words_of`)."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


def inner(function: _Function) -> _Function:
    """A function that only compiled code calls.

    Without a way in from Python, and without counting references to arrays, which the caller holds: the programs of a
    scenario compile in 8.6 s instead of 15, and a step of the search takes 71 ns instead of 204.
    """
    compiled: _Function = keep(_for_compiled_code(function), "inner", KeptInnerCode)
    return compiled


def inlined(function: _Function) -> _Function:
    """A function that is part of its caller: a call takes as long as a tenth of a step."""
    compiled: _Function = keep(_inlined(function), "inlined", KeptInnerCode)
    return compiled


def intrinsic(function: Callable[..., Any]) -> Callable[..., int]:
    """LLVM's own instructions: `function` gives their types and emits them; what it becomes is called with words."""
    compiled: Callable[..., int] = extending.intrinsic(function)
    return compiled


def entry_point(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """A function that Python calls, compiled for these types here and now."""

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = keep(numba.njit(function), "entry point")
        if not numba.config.DISABLE_JIT:
            compiled.compile(signature)
            compiled.disable_compile()
        return compiled

    return decorate


def search_entry_point(function: Callable[..., Any]) -> Any:
    """A function that Python calls, without its global lock, compiled for the types of its first call."""
    return keep(numba.njit(nogil=True)(function), "entry point without the lock")


def callback(signature: Any) -> Callable[[Any], Any]:
    """A C function: its `address` is what a signal handler, or other compiled code, calls."""

    def decorate(function: Any) -> Any:
        compiled: Any = CFunc(function, normalize_signature(signature), locals={}, options={})
        compiled._cache = KeptCode(function, "callback")
        compiled.compile()
        return compiled

    return decorate
