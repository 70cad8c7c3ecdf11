"""The native engine's compiler: a program's source rewritten so that each yield is a compiled primitive.

`yield this_cpu_add(p, 1)` becomes `ops.this_cpu_add(ctx, p, 1)`, `yield from f(x)` a call of the rewritten f.
Everything else is arithmetic on 64-bit words, which numba compiles as it stands. What it can't take is refused
with file, line and reason, before anything runs.
"""

from __future__ import annotations

import ast
import copy
import itertools
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang import ops
from percpu_emu.lang.nesting import effect_of
from percpu_emu.lang.source import PURE, ProgramSource, Refused, Site, is_operation, is_program
from percpu_emu.lang.subset import check_assigned
from percpu_emu.lang.words import BITS, LONG_MAX, LONG_MIN, Long

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from percpu_emu.lang.operation import Kind, Operation
    from percpu_emu.lang.ops import ProgramFunction

__all__ = ["BITWISE", "STATEMENTS", "WRAPPING", "Refused", "Rewriter"]

WRAPPING: Final = {
    ast.Add: "ops.add",
    ast.Sub: "ops.sub",
    ast.Mult: "ops.mul",
    ast.FloorDiv: "ops.floor_div",
    ast.Mod: "ops.floor_mod",
}
BITWISE: Final[dict[type[ast.AST], Callable[..., int]]] = {
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
"""Of constants the result is written out: Python's compiler would make 2**63 of `1 << 63`, and numba floats of that."""
_CHECKED: Final = {
    ast.FloorDiv: ("b == 0", "ZeroDivisionError", "division by zero", "ops.floor_div(a, b)"),
    ast.Mod: ("b == 0", "ZeroDivisionError", "division by zero", "ops.floor_mod(a, b)"),
    ast.LShift: (f"b < 0 or b >= {BITS}", "ValueError", f"a word has {BITS} bits", "a << b"),
    ast.RShift: (f"b < 0 or b >= {BITS}", "ValueError", f"a word has {BITS} bits", "a >> b"),
}
"""Of an operation that may have no result: when that is, the exception, the reason, and what it gives else."""
_CHECK: Final = """\
@inner
def {name}(ctx, {parameters}):
    if {wrong}:
        ops.has_no_result(ctx, {number})
        raise {error}({place!r})
    return {result}
"""
STATEMENTS: Final = (
    ast.Assign, ast.AugAssign, ast.AnnAssign, ast.If, ast.While, ast.For, ast.Return, ast.Expr, ast.Pass, ast.Break,
    ast.Continue,
)  # fmt: skip


class Rewriter(ast.NodeTransformer):
    """Rewrites one program. `name_of` gives another program's name in the image, `number_of` that of a callback.

    `place_of` gives the number of arithmetic that may have no result, by its line and why.

    With `site_number_of`, the program is instrumented: every operation is preceded by a `reach` of its site.
    """

    def __init__(
        self,
        source: ProgramSource,
        *,
        name_of: Callable[[ProgramFunction], str],
        number_of: Callable[[ProgramFunction], int],
        mark_of: Callable[[str], int],
        site_of: Callable[[Site], int],
        place_of: Callable[[str], int] = lambda _: 0,
        site_number_of: Callable[[Site], int] | None = None,
    ) -> None:
        self.source = source
        self._name_of = name_of
        self._number_of = number_of
        self._mark_of = mark_of
        self._site_of = site_of
        self._place_of = place_of
        self._checks: list[str] = []
        self._site_number_of = site_number_of
        self._serial = itertools.count(1)

    def rewrite(self) -> str:
        """The program as the text of a function `NAME(ctx, parameters)` that returns a word; what it needs in front."""
        tree, parameters = copy.deepcopy(self.source.tree), ["ctx", *map(_local, self.source.parameters)]
        body = tree.body[1:] if ast.get_docstring(tree, clean=False) is not None else tree.body
        statements = self._block(body)
        check_assigned(self.source)
        name = self._name_of(self.source.function)
        lines = [*self._checks, f"# {name}", "@inner", f"def {name}({', '.join(parameters)}):"]
        lines += [_indented(ast.unparse(ast.fix_missing_locations(statement))) for statement in statements]
        return "\n".join([*lines, "    return 0"])

    def _block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        rewritten = [self.visit(statement) for statement in statements]
        return [node for part in rewritten for node in (part if isinstance(part, list) else [part])]

    def visit(self, node: ast.AST) -> Any:
        """Refuse every kind of statement and expression that has no rule below."""
        known = isinstance(node, STATEMENTS) or hasattr(self, f"visit_{type(node).__name__}")
        if isinstance(node, ast.stmt | ast.expr) and not known:
            first_line = ast.unparse(node).splitlines()[0]
            self.source.refuse(node, f"`{first_line}`: {type(node).__name__} is not part of the language")
        return super().visit(node)

    # --- statements

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if not all(isinstance(target, ast.Name) for target in node.targets):
            self.source.refuse(node, f"`{self.source.written(node)}`: only local variables are assigned to")
        value = self.visit(node.value)
        return ast.Assign([self.visit(target) for target in node.targets], value, lineno=node.lineno)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name) or node.value is None:
            self.source.refuse(
                node, f"`{self.source.written(node)}`: an annotated variable is a local one with a value"
            )
        return ast.Assign([self.visit(node.target)], self.visit(node.value), lineno=node.lineno)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name):
            self.source.refuse(node, f"`{self.source.written(node)}`: only local variables are assigned to")
        read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        combined = ast.copy_location(ast.BinOp(read, node.op, node.value), node)
        return ast.Assign([self.visit(node.target)], self.visit(combined), lineno=node.lineno)

    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        """`range(n)` as it stands; with a start, the turns are counted: numba's `range` gets more than 2**63 wrong."""
        call = node.iter
        is_range = isinstance(call, ast.Call) and self.source.resolve(call.func) is range
        if not isinstance(call, ast.Call) or not is_range or not isinstance(node.target, ast.Name) or node.orelse:
            self.source.refuse(node, "a `for` goes over `range(...)` with one variable and has no `else`")
        self.source.check_arguments(call, min(max(len(call.args), 1), 3))
        bounds, target, body = [self.visit(bound) for bound in call.args], self.visit(node.target), node.body
        if len(bounds) == 1:
            return [ast.For(target, _call("range", *bounds), self._block(body), [], lineno=node.lineno)]
        start, stop, step, turn = (_name(f"{what}{next(self._serial)}") for what in ("start", "stop", "step", "turn"))
        kept = zip((start, stop, step), [*bounds, ast.Constant(1)], strict=False)
        turns = _call("range", self._turns(node, start, stop, step, bounds[2:]))
        value = _assign(target, _call("ops.add", start, _call("ops.mul", turn, step)))
        loop = ast.For(turn, turns, [value, *self._block(body)], [], lineno=node.lineno)
        return [*[_assign(name, bound) for name, bound in kept], loop]

    def visit_While(self, node: ast.While) -> ast.AST:
        if node.orelse:
            self.source.refuse(node, "a `while` has no `else`")
        test = self.visit(node.test)
        if isinstance(
            test, ast.Constant
        ):  # else numba takes a program that only an exception ends for one without result
            test = _word_of(test)
        return ast.While(test, self._block(node.body), [])

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.Return(self.visit(node.value) if node.value is not None else ast.Constant(0))

    # --- expressions

    def visit_Yield(self, node: ast.Yield) -> ast.AST:
        operation, call = self.source.operation(node)
        ctx: ast.expr = _name("ctx")
        if self._site_number_of is not None:
            site = self.source.sites[node.lineno, node.col_offset]
            number = self._site_number_of(site)
            ctx = _call("ops.reach", ctx, ast.Constant(number), ast.Constant(effect_of(operation)))
        return _call(f"ops.{operation.name}", ctx, *self._operation_arguments(operation, call, node))

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        callee = self.source.callee(node.value)
        assert isinstance(node.value, ast.Call)
        return _call(self._name_of(callee), _name("ctx"), *[self.visit(argument) for argument in node.value.args])

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = self.source.resolve(node.func)
        if pure := next((name for known, name in PURE.items() if known is function), None):
            self.source.check_arguments(node, 1 if function in (abs, int) else max(2, len(node.args)))
            return _call(pure, *[self.visit(argument) for argument in node.args])
        hint = "it is an operation: `yield` it" if is_operation(function) else "it is neither operation nor program"
        hint = "it is a program: `yield from` it" if is_program(function) else hint
        hint = "it stands only as the pointer of an operation" if function is ops.per_cpu else hint
        self.source.refuse(node, f"`{self.source.written(node)}`: {hint}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.source.locals:
            return ast.Name(_local(node.id), node.ctx)
        return self._word(node, self.source.constant(node))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._word(node, self.source.constant(node))

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, int):
            self.source.refuse(node, f"`{node.value!r}`: a program computes with 64-bit numbers only")
        return self._word(node, int(node.value))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if any(isinstance(operator, ast.In | ast.NotIn | ast.Is | ast.IsNot) for operator in node.ops):
            self.source.refuse(node, f"`{self.source.written(node)}`: words are compared with == != < <= > >=")
        rewritten: Any = self.generic_visit(node)
        return _word_of(rewritten)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        negative = isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
        if negative and isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, int):
            return self._word(node, -node.operand.value)
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.USub):
            return _call("ops.neg", operand)
        if isinstance(node.op, ast.Not):
            return _word_of(ast.UnaryOp(node.op, operand))
        return _written_out(node.op, operand) or ast.UnaryOp(node.op, operand)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if type(node.op) not in WRAPPING | BITWISE:
            self.source.refuse(
                node, f"`{self.source.written(node)}`: {type(node.op).__name__} is no operation on words"
            )
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.LShift | ast.RShift):
            self._check_count(node, right)
        if type(node.op) in _CHECKED and not (isinstance(right, ast.Constant) and right.value):
            return _call(self._checked(node, "a, b", *_CHECKED[type(node.op)]), _name("ctx"), left, right)
        if helper := WRAPPING.get(type(node.op)):
            return _call(helper, left, right)
        return _written_out(node.op, left, right) or ast.BinOp(left, node.op, right)

    def _check_count(self, node: ast.BinOp, count: ast.expr) -> None:
        """Refuse a shift by a constant that no word can be shifted by."""
        if isinstance(count, ast.Constant) and isinstance(count.value, int) and not 0 <= count.value < BITS:
            self.source.refuse(
                node, f"`{self.source.written(node)}`: a word has {BITS} bits: no shift by {count.value}"
            )

    def _turns(
        self, node: ast.For, start: ast.expr, stop: ast.expr, step: ast.expr, written: Sequence[ast.expr]
    ) -> ast.expr:
        """How many turns a loop over `range` has; `written` is its step, if the program gives one."""
        if not written or (isinstance(written[0], ast.Constant) and written[0].value):
            return _call("ops.turns", start, stop, step)
        wrong = ("c == 0", "ValueError", "range() with step 0", "ops.turns(a, b, c)")
        return _call(self._checked(node.iter, "a, b, c", *wrong), _name("ctx"), start, stop, step)

    def _checked(self, node: ast.expr, parameters: str, wrong: str, error: str, reason: str, result: str) -> str:
        """The name of a function that does arithmetic, and says where it has no result."""
        name = f"{self._name_of(self.source.function)}_at_{next(self._serial)}"
        place = f"{Path(self.source.file).name}:{node.lineno}: `{ast.unparse(node)}`: {reason}"
        fields = {"wrong": wrong, "error": error, "place": place, "number": self._place_of(place), "result": result}
        self._checks.append(_CHECK.format(name=name, parameters=parameters, **fields))
        return name

    # --- arguments that are not words

    def _operation_arguments(self, operation: Operation, call: ast.Call, node: ast.Yield) -> list[ast.expr]:
        if operation.queues:
            function = self.source.resolve(call.args[0])
            if not is_program(function) or len(ProgramSource(function).parameters) != 1:
                self.source.refuse(node, f"`{self.source.written(call)}`: a callback is a program with one parameter")
            return [ast.Constant(self._number_of(function)), *(self.visit(argument) for argument in call.args[1:])]
        if operation.opcode == i.MARK:
            text = call.args[0]
            if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
                self.source.refuse(node, f"`{self.source.written(call)}`: a mark's name is written out")
            return [ast.Constant(self._mark_of(text.value))]
        kinds = [kind for _, kind in operation.parameters]
        arguments = [self._argument(kind, node) for kind, node in zip(kinds, call.args, strict=True)]
        if operation.opcode == i.WARN_ON:
            site = self.source.sites[node.lineno, node.col_offset]
            arguments.append(ast.Constant(self._site_of(site)))
        return arguments

    def _argument(self, kind: Kind, node: ast.expr) -> ast.expr:
        """An argument of an operation, which may be `per_cpu(...)` where it is a pointer to a word."""
        if kind == "pointer" and isinstance(node, ast.Call) and self.source.resolve(node.func) is ops.per_cpu:
            self.source.check_arguments(node, 2)
            return _call("ops.per_cpu", _name("ctx"), *[self.visit(argument) for argument in node.args])
        rewritten: ast.expr = self.visit(node)
        return rewritten

    def _word(self, node: ast.expr, value: int) -> ast.Constant:
        if not LONG_MIN <= value <= LONG_MAX:
            self.source.refuse(node, f"`{self.source.written(node)}` is {value}, more than 64 bits hold")
        return ast.Constant(value)


def _name(identifier: str) -> ast.Name:
    return ast.Name(identifier, ast.Load())


def _local(identifier: str) -> str:
    """A local variable's name in compiled code, where `ctx`, `ops`, `abs` and the programs' names are taken."""
    return f"{identifier}_"


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(_name(name), list(arguments), [])


def _word_of(node: ast.expr) -> ast.Call:
    return _call("int", node)


def _assign(name: ast.expr, value: ast.expr) -> ast.stmt:
    return ast.Assign([name], value, lineno=0)


def _written_out(operation: ast.AST, *operands: ast.expr) -> ast.Constant | None:
    """What an operation on constants gives, None if an operand is not constant."""
    constants = [operand.value for operand in operands if isinstance(operand, ast.Constant)]
    values = [Long(value) for value in constants if isinstance(value, int)]
    return ast.Constant(int(BITWISE[type(operation)](*values))) if len(values) == len(operands) else None


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())
