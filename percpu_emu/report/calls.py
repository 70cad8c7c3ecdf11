"""Calls of the kernel's helpers in a trace: a lock, a list, a reference count. Reports fold one into a line."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import percpu_emu.kernel
import percpu_emu.lang
from percpu_emu.report.listing import assigned, parameters

if TYPE_CHECKING:
    from percpu_emu.lang.source import Site
    from percpu_emu.lang.trace import Step

_KERNEL: Final = "completion cpus_lock list llist locks percpu_rwsem rcu_poll refcount seqlock smp srcu workqueue"
_FOLDERS: Final = {percpu_emu.kernel: _KERNEL, percpu_emu.lang: "bits raw"}
_FILES: Final = frozenset(
    str(Path(package.__path__[0]) / f"{name}.py") for package, names in _FOLDERS.items() for name in names.split()
)
"""Where they are; `percpu_emu.kernel` has code under test as well."""


def call_of(step: Step) -> tuple[Site, ...]:
    """The calls that lead into the outermost helper that the step is in, and its own last; () outside of helpers."""
    if step.site is None:
        return ()
    called_in = [*(call.file for call in step.calls[1:]), step.site.file]
    depth = next((number for number, file in enumerate(called_in, 1) if file in _FILES), 0)
    return step.calls[:depth]


def in_the_callers_words(calls: tuple[Site, ...]) -> str:
    """The last call, in which parameters that stay the same are what the program around it was called with."""
    call = ast.parse(calls[0].text, mode="eval").body
    for inner in calls[1:]:
        given = call.args if isinstance(call, ast.Call) else []
        named = zip(parameters(inner), given, strict=False)
        said = {name: value for name, value in named if name not in assigned(inner)}
        call = _Saying(said).visit(ast.parse(inner.text, mode="eval").body)
    return ast.unparse(call)


class _Saying(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, said: dict[str, ast.expr]) -> None:
        self._said = said

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._said.get(node.id, node)


def begins_again(first: Step, step: Step) -> bool:
    """Whether a step that stands where the first of a call did begins another: one that tries again does not."""
    if (first.site, first.calls) != (step.site, step.calls):
        return False
    return not step.accesses or not first.accesses or step.accesses[0].address != first.accesses[0].address
