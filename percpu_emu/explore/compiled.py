"""Compiled entry points of the virtual engine and of the searches, kept like any compiled code."""

from __future__ import annotations

import importlib
import inspect
from functools import cache
from typing import Any, Final

from percpu_emu.lang.modules import load_compiled

_ENTRY_POINTS: Final = {
    "lang.virtual.accesses": ("begins_to_spin", "may_halve", "step_half"),
    "lang.virtual.blocking": ("blocked",),
    "lang.virtual.computing": ("compute",),
    "lang.virtual.contexts": ("is_reader", "must_finish"),
    "lang.virtual.memory": ("make_word",),
    "lang.virtual.stepping": ("step", "step_fail"),
    "explore.store": ("begin", "expand", "refill", "wander"),
    "explore.transition": (
        "check_bound", "check_counters", "check_final", "choices", "is_final", "migrate", "total_of",
    ),
    "explore.walks": ("walks",),
}  # fmt: skip
"""What Python calls of the compiled modules."""
_ENTRY_POINT: Final = """
@search_entry_point
def {name}({parameters}):
    return _{name}({parameters})
"""


@cache
def compiled() -> Any:
    """The entry points, as attributes. The first use on a machine compiles them."""
    return load_compiled(_text())


def _text() -> str:
    imports, functions = [], []
    for path, names in _ENTRY_POINTS.items():
        module = importlib.import_module(f"percpu_emu.{path}")
        for name in names:
            parameters = ", ".join(inspect.signature(getattr(module, name)).parameters)
            imports.append(f"from percpu_emu.{path} import {name} as _{name}")
            functions.append(_ENTRY_POINT.format(name=name, parameters=parameters))
    return "\n".join([*imports, *functions])
