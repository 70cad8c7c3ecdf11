"""A store goes far behind the static words."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, write_once


def store() -> Program[None]:
    yield write_once(STATIC + 100000, 1)
