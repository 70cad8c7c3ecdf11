"""Compiled entry points of the virtual engine and of the searches, kept in the cache folder like any image."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any, Final

from percpu_emu.lang.cache import load_compiled

_ENTRY_POINTS: Final = {
    "lang.virtual.accesses": ("begins_to_spin", "may_halve", "step_half"),
    "lang.virtual.blocking": ("blocked",),
    "lang.virtual.computing": ("compute",),
    "lang.virtual.contexts": ("is_reader", "must_finish"),
    "lang.virtual.memory": ("make_word",),
    "lang.virtual.stepping": ("step",),
    "explore.store": ("begin", "expand", "refill", "wander"),
    "explore.transition": (
        "check_bound", "check_counters", "check_final", "choices", "is_final", "migrate", "total_of",
    ),
    "explore.walks": ("walks",),
}  # fmt: skip
"""What Python calls of the compiled modules."""
_COMPILED: Final = ("reduction", "store", "transition", "walks")
"""Modules of this package whose functions are compiled: a change in them is a new image."""

_ENTRY_POINT: Final = """
@njit(cache=True, nogil=True)
def {name}({parameters}):
    return _{name}({parameters})
"""


@cache
def compiled() -> Any:
    """The entry points, as attributes. The first use on a machine compiles them."""
    folder = Path(__file__).parent
    sources = b"".join((folder / f"{name}.py").read_bytes() for name in _COMPILED)
    return load_compiled(f"# {hashlib.sha256(sources).hexdigest()}\n{_text()}")


def _text() -> str:
    imports, functions = [], []
    for path, names in _ENTRY_POINTS.items():
        module = importlib.import_module(f"percpu_emu.{path}")
        for name in names:
            parameters = ", ".join(inspect.signature(getattr(module, name)).parameters)
            imports.append(f"from percpu_emu.{path} import {name} as _{name}")
            functions.append(_ENTRY_POINT.format(name=name, parameters=parameters))
    return "\n".join([*imports, *functions])
