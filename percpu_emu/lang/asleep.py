"""Sleeping inside of a section, found before a program runs: what is certain, where nothing looks while it runs.

Followed is how many sections are open at least, whichever way the program takes: in which kinds, at a wait. Programs
that are instrumented notice it as they run (`lang.sections`), with the wait's site.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, TypeAlias

from percpu_emu.lang.source import ProgramSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from percpu_emu.lang.operation import Section
    from percpu_emu.lang.ops import ProgramFunction

_KINDS: Final[tuple[Section, ...]] = ("rcu", "preempt", "irq")
Depths: TypeAlias = tuple[int, ...] | None
"""How many sections of each kind are open at least; None where no path leads."""
_SKIPPABLE: Final = (ast.BoolOp, ast.IfExp, ast.Compare)


def refuse_sleep_in_section(function: ProgramFunction) -> None:
    """Refuse a program that sleeps where a section is open on every path."""
    _Paths(ProgramSource(function)).run((0, 0, 0))


class _Paths:
    """The paths through one program."""

    def __init__(self, source: ProgramSource) -> None:
        self._source = source
        self._returns: Depths = None
        self._leaves: list[tuple[Depths, Depths]] = []
        """Of the loops around, outermost first: where `break` leaves it, and where `continue` begins anew."""

    def run(self, depths: Depths) -> Depths:
        """What is open at least when the program has ended, if `depths` is when it begins."""
        return _least(self._follow(self._source.tree.body, depths), self._returns)

    def _follow(self, statements: Sequence[ast.stmt], depths: Depths) -> Depths:
        for statement in statements:
            if depths is not None:
                depths = self._after(statement, depths)
        return depths

    def _after(self, node: ast.stmt, depths: Depths) -> Depths:
        if isinstance(node, ast.If):
            depths = self._evaluate(node.test, depths)
            return _least(self._follow(node.body, depths), self._follow(node.orelse, depths))
        if isinstance(node, ast.While | ast.For):
            return self._loop(node, depths)
        depths = self._evaluate(node, depths)
        if isinstance(node, ast.Return):
            self._returns = _least(self._returns, depths)
        elif isinstance(node, ast.Break | ast.Continue):
            broken, continued = self._leaves[-1]
            is_break = isinstance(node, ast.Break)
            self._leaves[-1] = (_least(broken, depths), continued) if is_break else (broken, _least(continued, depths))
        return None if isinstance(node, ast.Return | ast.Break | ast.Continue) else depths

    def _loop(self, node: ast.While | ast.For, depths: Depths) -> Depths:
        test = node.test if isinstance(node, ast.While) else node.iter
        before: Depths = None
        while before != depths:  # which only becomes less
            before = depths
            self._leaves.append((None, None))
            tested = self._evaluate(test, depths)
            after = self._follow(node.body, tested)
            broken, continued = self._leaves.pop()
            depths = _least(depths, _least(after, continued))
        for_ever = isinstance(node, ast.While) and isinstance(test, ast.Constant) and bool(test.value)
        return broken if for_ever else _least(self._evaluate(test, depths), broken)

    def _evaluate(self, node: ast.AST, depths: Depths) -> Depths:
        for part in _in_order(node):
            if isinstance(part, _SKIPPABLE):
                for operand in ast.iter_child_nodes(part):
                    depths = _least(depths, self._evaluate(operand, depths))
            elif depths is not None and isinstance(part, ast.YieldFrom):
                depths = _Paths(ProgramSource(self._source.callee(part.value))).run(depths)
            elif depths is not None and isinstance(part, ast.Yield):
                depths = self._operation(part, depths)
        return depths

    def _operation(self, node: ast.Yield, depths: tuple[int, ...]) -> Depths:
        operation, _ = self._source.operation(node)
        if operation.wait == "sleeps" and any(depths):
            kinds = " and ".join(kind for kind, depth in zip(_KINDS, depths, strict=True) if depth)
            self._source.refuse(node, f"{operation.name} sleeps inside of a section ({kinds}) on every path")
        change = {operation.enters: 1, operation.leaves: -1}
        return tuple(max(depth + change.get(kind, 0), 0) for kind, depth in zip(_KINDS, depths, strict=True))


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression in the order in which they are evaluated, those that may be skipped in one piece."""
    if isinstance(node, _SKIPPABLE):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
    yield node


def _least(a: Depths, b: Depths) -> Depths:
    if a is None or b is None:
        return b if a is None else a
    return tuple(map(min, a, b))
