"""percpu-emu: a machine on which the per-CPU code of the Linux memory controller runs, races and can be watched.

    result = percpu_emu.explore("flush-then-swap")
    print(result)

`import percpu_emu` is fast: numba and numpy are imported by the first call.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from percpu_emu.api.counterexample import Counterexample
    from percpu_emu.api.errors import Error, RunFailed, WrongEnvironment, WrongInput
    from percpu_emu.api.exploring import explore
    from percpu_emu.api.planning import footprint
    from percpu_emu.api.replaying import replay
    from percpu_emu.api.result import Check, Result, ScenarioFailed
    from percpu_emu.api.running import run

__version__ = "0.1.0"
__all__ = [
    "Check",
    "Counterexample",
    "Error",
    "Result",
    "RunFailed",
    "ScenarioFailed",
    "WrongEnvironment",
    "WrongInput",
    "__version__",
    "explore",
    "footprint",
    "replay",
    "run",
]
_MODULES: Final = {
    "Check": "result",
    "Counterexample": "counterexample",
    "Error": "errors",
    "Result": "result",
    "RunFailed": "errors",
    "ScenarioFailed": "result",
    "WrongEnvironment": "errors",
    "WrongInput": "errors",
    "explore": "exploring",
    "footprint": "planning",
    "replay": "replaying",
    "run": "running",
}
"""Where the names of the API are, in `percpu_emu.api`."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.api.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package. The packages `explore` and `replay` inside it do not take the names of the API's functions.

    The import system sets a package as an attribute of the package around it. `from percpu_emu.explore.search import
    Search` does not need the attribute.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
