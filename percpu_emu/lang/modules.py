"""Modules of compiled code, made from text."""

from __future__ import annotations

import hashlib
import linecache
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

_PROLOGUE: Final = """\
from numba import types
from percpu_emu.lang import primitives as ops
from percpu_emu.lang.context import Context
from percpu_emu.shm.compiling import callback, entry_point, inner, search_entry_point

WORD = types.int64
BASES = types.Array(WORD, 1, "C")


@inner
def context(bases):
    return Context(bases[0], bases[1], bases[2], bases[3], bases[4], bases[5])
"""


@cache
def load_compiled(text: str) -> Any:
    """What a text defines; it may use `entry_point`, `callback`, `inner`, WORD, BASES, `ops` and `context(bases)`.

    An entry point takes its context as the array `bases`: called from Python, an array costs a tenth of a microsecond
    where a named tuple costs four.
    """
    whole = f"{_PROLOGUE}\n\n{text}"
    name = f"<compiled {hashlib.sha256(whole.encode()).hexdigest()[:12]}>"
    linecache.cache[name] = (len(whole), None, whole.splitlines(keepends=True), name)  # for numba's messages
    defined: dict[str, Any] = {"__name__": __name__}  # kept code names its module, which has to be there when it loads
    exec(compile(whole, name, "exec"), defined)
    return SimpleNamespace(**defined)
