"""Statements of a program as rows: one call of one program, written out."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from percpu_emu.lang import instructions as i
from percpu_emu.lang.expressions import Expressions
from percpu_emu.lang.source import ProgramSource

if TYPE_CHECKING:
    from percpu_emu.lang.bytecode import Body


class Inline:
    """Writes out one call of one program."""

    def __init__(self, body: Body, source: ProgramSource) -> None:
        self._body = body
        self._source = source
        self._variables: dict[str, int] = {}
        self._expressions = Expressions(body, source, self._variables)
        self._loops: list[tuple[int, int]] = []
        self._result = -1
        self._end = body.label()

    def write(self, arguments: Sequence[int]) -> int:
        stored = {n.id for n in ast.walk(self._source.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for name, operand in zip(self._source.parameters, arguments, strict=True):
            self._variables[name] = operand
            if name in stored:  # else the caller's operand serves: nothing can change it meanwhile
                self._variables[name] = self._body.register()
                self._body.emit(i.MOV, self._variables[name], operand)
        returned = [n.value for n in ast.walk(self._source.tree) if isinstance(n, ast.Return)]
        if any(value is not None for value in returned):
            self._result = self._body.register()
            self._body.emit(i.MOV, self._result, self._body.constant(0))
        else:
            self._result = self._body.constant(0)
        self._block(self._source.tree.body)
        self._body.place(self._end)
        return self._result

    def _block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            getattr(self, f"_do_{type(statement).__name__}")(statement)

    def _do_Pass(self, node: ast.Pass) -> None:
        pass

    def _do_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._expressions.value(node.value)

    def _do_Assign(self, node: ast.Assign) -> None:
        value = self._expressions.value(node.value)
        for target in node.targets:
            assert isinstance(target, ast.Name)
            self._store(target.id, value)

    def _do_AnnAssign(self, node: ast.AnnAssign) -> None:
        assert isinstance(node.target, ast.Name)
        assert node.value is not None
        self._store(node.target.id, self._expressions.value(node.value))

    def _do_AugAssign(self, node: ast.AugAssign) -> None:
        assert isinstance(node.target, ast.Name)
        name = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        self._store(
            node.target.id, self._expressions.value(ast.copy_location(ast.BinOp(name, node.op, node.value), node))
        )

    def _store(self, name: str, value: int) -> None:
        if name not in self._variables:
            self._variables[name] = self._body.register()
        self._body.emit(i.MOV, self._variables[name], value)

    def _do_If(self, node: ast.If) -> None:
        orelse, end = self._body.label(), self._body.label()
        self._expressions.jump_unless(node.test, orelse)
        self._block(node.body)
        if node.orelse:
            self._body.jump(i.JUMP, end)
        self._body.place(orelse)
        self._block(node.orelse)
        self._body.place(end)

    def _do_While(self, node: ast.While) -> None:
        again, over = self._body.label(), self._body.label()
        self._body.place(again)
        first = self._body.row
        self._expressions.jump_unless(node.test, over)
        self._loop(node.body, again, over)
        if not self._is_over_cpus(node):
            self._body.poll(first)
        self._body.jump(i.JUMP, again)
        self._body.place(over)

    def _is_over_cpus(self, node: ast.While) -> bool:
        """Whether each pass goes on to the next CPU of a mask, so that there are as many as there are CPUs."""
        if any(isinstance(inner, ast.Continue) for inner in ast.walk(node)):
            return False
        for statement in node.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Yield):
                operation, call = self._source.operation(statement.value)
                target, start = ast.unparse(statement.targets[0]), ast.unparse(call.args[0]) if call.args else ""
                stored = [n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
                if operation.opcode == i.CPUMASK_NEXT and target == start:
                    return [name.id for name in stored].count(target) == 1
        return False

    def _do_For(self, node: ast.For) -> None:
        assert isinstance(node.iter, ast.Call)
        assert isinstance(node.target, ast.Name)
        body, bounds = self._body, [self._kept(bound) for bound in node.iter.args]
        zero, one = body.constant(0), body.constant(1)
        start, stop, step = (zero, bounds[0], one) if len(bounds) == 1 else (*bounds, one)[:3]
        turns, turn = (stop if len(bounds) == 1 else body.register()), body.register()
        if len(bounds) > 1:
            body.emit(i.TURNS, turns, start, stop, step)
            body.locate(self._source.site_of(node.iter))
        body.emit(i.MOV, turn, zero)
        again, following, over = body.label(), body.label(), body.label()
        body.place(again)
        body.jump(i.JUMP_UNLESS_LT, over, turn, turns)
        self._store(
            node.target.id,
            turn
            if len(bounds) == 1
            else self._expressions.binary(ast.Add(), start, self._expressions.binary(ast.Mult(), turn, step)),
        )
        self._loop(node.body, following, over)
        body.place(following)
        body.emit(i.ADD, turn, turn, one)
        body.jump(i.JUMP, again)
        body.place(over)

    def _kept(self, node: ast.expr) -> int:
        """A bound of a `range`, which later assignments to a variable in it do not move."""
        operand = self._expressions.value(node)
        if operand < 0:
            return operand
        kept = self._body.register()
        self._body.emit(i.MOV, kept, operand)
        return kept

    def _loop(self, statements: Sequence[ast.stmt], following: int, over: int) -> None:
        self._loops.append((following, over))
        self._block(statements)
        self._loops.pop()

    def _do_Break(self, node: ast.Break) -> None:
        self._body.jump(i.JUMP, self._loops[-1][1])

    def _do_Continue(self, node: ast.Continue) -> None:
        self._body.jump(i.JUMP, self._loops[-1][0])

    def _do_Return(self, node: ast.Return) -> None:
        if self._result >= 0:
            value = self._expressions.value(node.value) if node.value is not None else self._body.constant(0)
            self._body.emit(i.MOV, self._result, value)
        self._body.jump(i.JUMP, self._end)
