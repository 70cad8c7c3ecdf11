"""Definite assignment: a local variable has a value on every path that leads to where it is read.

Python says so when it happens, compiled code would read whatever is there. So it is refused beforehand.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.lang.source import ProgramSource

Assigned: TypeAlias = frozenset[str] | None
"""The variables that have a value for certain; None where no path leads."""


def check_assigned(source: ProgramSource) -> None:
    """Refuse a program that reads a variable which may have no value yet."""
    _Paths(source).follow(source.tree.body, frozenset(source.parameters))


class _Paths:
    """Follows the statements of a program, branch by branch. A loop's body may run not even once."""

    def __init__(self, source: ProgramSource) -> None:
        self._source = source
        self._breaks: list[Assigned] = []
        """Of the loops around, outermost first: what has a value wherever it is left by `break`."""

    def follow(self, statements: Sequence[ast.stmt], assigned: Assigned) -> Assigned:
        """What has a value after the statements, if `assigned` has before."""
        for statement in statements:
            if assigned is not None:  # else it is never done
                assigned = self._after(statement, assigned)
        return assigned

    def _after(self, node: ast.stmt, assigned: frozenset[str]) -> Assigned:
        after: Assigned = assigned
        if isinstance(node, ast.If):
            self._check_reads(node.test, assigned)
            after = _either(self.follow(node.body, assigned), self.follow(node.orelse, assigned))
        elif isinstance(node, ast.For):
            self._check_reads(node.iter, assigned)
            self._after_break(node.body, assigned | _names(node.target))
        elif isinstance(node, ast.While):
            self._check_reads(node.test, assigned)
            after_break = self._after_break(node.body, assigned)
            for_ever = isinstance(node.test, ast.Constant) and bool(node.test.value)
            after = after_break if for_ever else assigned
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            self._check_reads(node.value, assigned)
            after = assigned.union(*map(_names, node.targets if isinstance(node, ast.Assign) else [node.target]))
        else:
            self._check_reads(node, assigned)
        if isinstance(node, ast.Break):
            self._breaks[-1] = _either(self._breaks[-1], assigned)
        return None if isinstance(node, ast.Return | ast.Break | ast.Continue) else after

    def _after_break(self, body: Sequence[ast.stmt], assigned: frozenset[str]) -> Assigned:
        self._breaks.append(None)
        self.follow(body, assigned)
        return self._breaks.pop()

    def _check_reads(self, node: ast.AST | None, assigned: frozenset[str]) -> None:
        for name in ast.walk(node) if node is not None else ():
            if isinstance(name, ast.Name) and name.id in self._source.locals - assigned:
                self._source.refuse(name, f"`{name.id}` may be used before it has a value")


def _either(one: Assigned, other: Assigned) -> Assigned:
    if one is None:
        return other
    return one if other is None else one & other


def _names(target: ast.expr) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(target) if isinstance(node, ast.Name))
