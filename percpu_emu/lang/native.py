"""The native engine's compiler: a program's source rewritten so that each yield is a compiled primitive.

`yield this_cpu_add(p, 1)` becomes `ops.this_cpu_add(ctx, p, 1)`, `yield from f(x)` a call of the rewritten f.
Everything else is arithmetic on 64-bit words, which numba compiles as it stands. What it can't take is refused
with file, line and reason, before anything runs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from percpu_emu.lang import ops
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import PURE, ProgramSource, Refused, Site, is_operation, is_program
from percpu_emu.lang.words import LONG_MAX, LONG_MIN

__all__ = ["Refused", "Rewriter"]

_BINARY: Final = (
    ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor,
)  # fmt: skip
_WRAPPING: Final = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "floor_div",
    ast.Mod: "floor_mod",
}
_STATEMENTS: Final = (
    ast.Assign, ast.AugAssign, ast.AnnAssign, ast.If, ast.While, ast.For, ast.Return, ast.Expr, ast.Pass, ast.Break,
    ast.Continue,
)  # fmt: skip


class Rewriter(ast.NodeTransformer):
    """Rewrites one program. `name_of` gives another program's name in the image, `number_of` that of a callback."""

    def __init__(
        self,
        source: ProgramSource,
        *,
        name_of: Callable[[ProgramFunction], str],
        number_of: Callable[[ProgramFunction], int],
        mark_of: Callable[[str], int],
        site_of: Callable[[Site], int],
    ) -> None:
        self.source = source
        self._name_of = name_of
        self._number_of = number_of
        self._mark_of = mark_of
        self._site_of = site_of

    def rewrite(self) -> str:
        """The program as the text of a function `NAME(ctx, parameters)` that returns a word."""
        tree, parameters = self.source.tree, ["ctx", *self.source.parameters]
        body = tree.body[1:] if ast.get_docstring(tree, clean=False) is not None else tree.body
        statements = [self.visit(statement) for statement in body]
        lines = [f"def {self._name_of(self.source.function)}({', '.join(parameters)}):"]
        lines += [_indented(ast.unparse(ast.fix_missing_locations(statement))) for statement in statements]
        return "\n".join([*lines, "    return 0"])

    def visit(self, node: ast.AST) -> ast.AST:
        """Refuse every kind of statement and expression that has no rule below."""
        known = isinstance(node, _STATEMENTS) or hasattr(self, f"visit_{type(node).__name__}")
        if isinstance(node, ast.stmt | ast.expr) and not known:
            first_line = ast.unparse(node).splitlines()[0]
            self.source.refuse(node, f"`{first_line}`: {type(node).__name__} is not part of the language")
        result: ast.AST = super().visit(node)
        return result

    # --- statements

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if not all(isinstance(target, ast.Name) for target in node.targets):
            self.source.refuse(node, f"`{ast.unparse(node)}`: only local variables are assigned to")
        return ast.Assign(node.targets, self.visit(node.value), lineno=node.lineno)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name) or node.value is None:
            self.source.refuse(node, f"`{ast.unparse(node)}`: an annotated variable is a local one with a value")
        return ast.Assign([node.target], self.visit(node.value), lineno=node.lineno)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name):
            self.source.refuse(node, f"`{ast.unparse(node)}`: only local variables are assigned to")
        read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        combined = ast.copy_location(ast.BinOp(read, node.op, node.value), node)
        return ast.Assign([node.target], self.visit(combined), lineno=node.lineno)

    def visit_For(self, node: ast.For) -> ast.AST:
        call = node.iter
        is_range = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
        if not is_range or not isinstance(node.target, ast.Name) or node.orelse:
            self.source.refuse(node, "a `for` goes over `range(...)` with one variable and has no `else`")
        assert isinstance(call, ast.Call)
        bounds = ast.Call(call.func, [self.visit(argument) for argument in call.args], [])
        return ast.For(node.target, bounds, [self.visit(statement) for statement in node.body], [], lineno=node.lineno)

    def visit_While(self, node: ast.While) -> ast.AST:
        if node.orelse:
            self.source.refuse(node, "a `while` has no `else`")
        return self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.Return(self.visit(node.value) if node.value is not None else ast.Constant(0))

    # --- expressions

    def visit_Yield(self, node: ast.Yield) -> ast.AST:
        call = self.source.operation(node)
        name = self.source.resolve(call.func).__name__
        return _call(f"ops.{name}", *self._operation_arguments(name, call, node))

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        callee = self.source.callee(node.value)
        assert isinstance(node.value, ast.Call)
        return _call(self._name_of(callee), *[self.visit(argument) for argument in node.value.args])

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = self.source.resolve(node.func)
        arguments = [self.visit(argument) for argument in node.args]
        if function is ops.per_cpu:
            return _call("ops.per_cpu", *arguments)
        if function in PURE and not node.keywords:
            return ast.Call(ast.Name(PURE[function], ast.Load()), arguments, [])
        hint = "it is an operation: `yield` it" if is_operation(function) else "it is no operation"
        hint = "it is a program: `yield from` it" if is_program(function) else hint
        self.source.refuse(node, f"`{ast.unparse(node)}`: {hint}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.source.locals:
            return node
        return self._word(node, self.source.constant(node))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._word(node, self.source.constant(node))

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, int):
            self.source.refuse(node, f"`{node.value!r}`: a program computes with 64-bit numbers only")
        return self._word(node, int(node.value))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if any(isinstance(operator, ast.In | ast.NotIn | ast.Is | ast.IsNot) for operator in node.ops):
            self.source.refuse(node, f"`{ast.unparse(node)}`: words are compared with == != < <= > >=")
        return _word_of(self.generic_visit(node))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        negative = isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
        if negative and isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, int):
            return self._word(node, -node.operand.value)
        if isinstance(node.op, ast.USub):
            return ast.Call(ast.Name("ops.neg", ast.Load()), [self.visit(node.operand)], [])
        rewritten = self.generic_visit(node)
        return _word_of(rewritten) if isinstance(node.op, ast.Not) else rewritten

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if not isinstance(node.op, _BINARY):
            self.source.refuse(node, f"`{ast.unparse(node)}`: {type(node.op).__name__} is no operation on words")
        left, right = self.visit(node.left), self.visit(node.right)
        if helper := _WRAPPING.get(type(node.op)):
            return ast.Call(ast.Name(f"ops.{helper}", ast.Load()), [left, right], [])
        if isinstance(node.op, ast.LShift | ast.RShift):
            right = ast.BinOp(right, ast.BitAnd(), ast.Constant(63))
        return ast.BinOp(left, node.op, right)

    # --- arguments that are not words

    def _operation_arguments(self, name: str, call: ast.Call, node: ast.Yield) -> list[ast.expr]:
        if name in ("call_rcu", "queue_work"):
            function = self.source.resolve(call.args[0])
            if not is_program(function):
                self.source.refuse(node, f"`{ast.unparse(call)}`: a callback is a program")
            return [ast.Constant(self._number_of(function)), self.visit(call.args[1])]
        if name == "mark":
            text = call.args[0]
            if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
                self.source.refuse(node, f"`{ast.unparse(call)}`: a mark's name is written out")
            return [ast.Constant(self._mark_of(text.value))]
        arguments = [self.visit(argument) for argument in call.args]
        if name == "warn_on":
            site = Site(self.source.name, 0, self.source.file, node.lineno, ast.unparse(call))
            arguments.append(ast.Constant(self._site_of(site)))
        return arguments

    def _word(self, node: ast.expr, value: int) -> ast.expr:
        if not LONG_MIN <= value <= LONG_MAX:
            self.source.refuse(node, f"`{ast.unparse(node)}` is {value}, more than 64 bits hold")
        if value == LONG_MIN:  # written out, numba would read it as minus an unsigned number, and go on in floats
            return ast.BinOp(ast.Constant(-LONG_MAX), ast.Sub(), ast.Constant(1))
        return ast.Constant(value)


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Name("ctx", ast.Load()), *arguments], [])


def _word_of(node: ast.AST) -> ast.Call:
    assert isinstance(node, ast.expr)
    return ast.Call(ast.Name("int", ast.Load()), [node], [])


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())
