"""The scenario's own check reads the result of a context that the fault does not need."""

from __future__ import annotations

from typing import Any

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, read_once, smp_mb, warn_on, write_once

WORD = STATIC + 0


def looks() -> Program[None]:
    x = yield read_once(WORD)
    yield warn_on(x)


def raises() -> Program[None]:
    yield write_once(WORD, 1)


def gives() -> Program[int]:
    yield smp_mb()
    return 1


def fine(state: Any) -> str | None:
    return None if state.result(2) == 1 else "bad"
