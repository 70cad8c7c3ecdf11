"""The virtual engine's compiler: programs become rows of `lang.instructions`, with everything they call written out.

One table holds the code of a whole setting: one stretch for each context (contexts that do the same share it) and one
for each program that is queued as a callback. No machine code is made: a new scenario starts in milliseconds.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from percpu_emu.lang import instructions as i
from percpu_emu.lang import ops
from percpu_emu.lang.native import Rewriter
from percpu_emu.lang.operation import Kind, Operation
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import ProgramSource, Site
from percpu_emu.lang.words import Long

T = TypeVar("T")

_BINARY: Final[dict[type[ast.operator], tuple[int, Callable[[Long, Long], int]]]] = {
    ast.Add: (i.ADD, lambda a, b: a + b),
    ast.Sub: (i.SUB, lambda a, b: a - b),
    ast.Mult: (i.MUL, lambda a, b: a * b),
    ast.FloorDiv: (i.FLOORDIV, lambda a, b: a // b),
    ast.Mod: (i.MOD, lambda a, b: a % b),
    ast.LShift: (i.LSHIFT, lambda a, b: a << b),
    ast.RShift: (i.RSHIFT, lambda a, b: a >> b),
    ast.BitAnd: (i.AND, lambda a, b: a & b),
    ast.BitOr: (i.OR, lambda a, b: a | b),
    ast.BitXor: (i.XOR, lambda a, b: a ^ b),
}
_PARTIAL: Final = (ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift)
"""What has no result for some operands."""
_UNARY: Final[dict[type[ast.unaryop], int]] = {ast.USub: i.NEG, ast.Invert: i.INVERT, ast.Not: i.NOT}
_FOLDED: Final[dict[type[ast.unaryop], Callable[[Long], int]]] = {
    ast.USub: lambda a: -a,
    ast.Invert: lambda a: ~a,
    ast.Not: lambda a: int(not a),
}
_COMPARED: Final[dict[type[ast.cmpop], tuple[int, bool]]] = {
    ast.Eq: (i.EQ, False),
    ast.NotEq: (i.NE, False),
    ast.Lt: (i.LT, False),
    ast.LtE: (i.LE, False),
    ast.Gt: (i.LT, True),
    ast.GtE: (i.LE, True),
}
"""Opcode, and whether its operands are swapped."""
_CALLED: Final[dict[Any, int]] = {abs: i.ABS, min: i.MIN, max: i.MAX, int: i.MOV}


@dataclass
class Code:
    """The code of a setting. Registers are numbered through each stretch; `lang.flow` makes them few."""

    rows: list[list[int]] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)
    sites: dict[int, Site] = field(default_factory=dict)
    """Of each operation the yield; of arithmetic that may have no result, the expression."""
    polling: set[int] = field(default_factory=set)
    """Operations inside a `while` that may have no end."""
    names: dict[int, str] = field(default_factory=dict)
    """Of each operation: its name in `lang.ops`."""
    marks: list[str] = field(default_factory=list)
    queued: list[ProgramFunction] = field(default_factory=list)
    """Programs that are queued as callbacks or work, in the order of their numbers."""
    stretches: list[Stretch] = field(default_factory=list)

    def constant(self, value: int) -> int:
        """The operand that stands for a number."""
        if value not in self.constants:
            self.constants.append(value)
        return -1 - self.constants.index(value)

    def value(self, operand: int) -> int | None:
        """The number that an operand stands for, None if it is a register."""
        return self.constants[-1 - operand] if operand < 0 else None


@dataclass
class Stretch:
    """The code of one program, begun at `start`; its parameters are its first registers."""

    function: ProgramFunction
    start: int
    end: int
    parameters: int
    registers: int


class Compiler:
    """Compiles programs into one `Code`. Raises `Refused` for what is not part of the language."""

    def __init__(self, constants: Mapping[str, int]) -> None:
        self.code = Code()
        self.constants = constants

    def task(self, function: ProgramFunction, arguments: Sequence[int | str], turns: int, prelude: bool) -> Stretch:
        """A program that runs for so many turns; `prelude`: once, after its CPU was taken down.

        An argument that is text ("turn") is the number of the turn.
        """
        body = _Body(self)
        if prelude:
            body.operation("take_down", i.TAKE_DOWN)
        if turns == 1:  # straight on: what is reached by no way back is not there to disturb anybody
            zero = body.constant(0)
            body.give(body.call(function, [zero if a == "turn" else body.constant(int(a)) for a in arguments]))
            body.emit(i.TURN_END)
            return body.finish(function, 0)
        turn = body.register()
        body.emit(i.MOV, turn, body.constant(0))
        again, over = body.label(), body.label()
        body.place(again)
        body.jump(i.JUMP_UNLESS_LT, over, turn, body.constant(turns))
        body.give(body.call(function, [turn if a == "turn" else body.constant(int(a)) for a in arguments]))
        body.emit(i.ADD, turn, turn, body.constant(1))
        body.emit(i.TURN_END)
        body.jump(i.JUMP, again)
        body.place(over)
        return body.finish(function, 0)

    def callback(self, function: ProgramFunction) -> Stretch:
        """A program with one parameter, or none, run once."""
        body = _Body(self)
        parameters = [body.register() for _ in ProgramSource(function).parameters]
        body.give(body.call(function, list(parameters)))
        return body.finish(function, len(parameters))


class _Body:
    """One stretch in the making: instructions, registers, labels."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self._code = compiler.code
        self._start = len(self._code.rows)
        self._registers = 0
        self._labels: list[int | None] = []
        self._callers: tuple[ProgramFunction, ...] = ()

    def register(self) -> int:
        self._registers += 1
        return self._registers - 1

    def constant(self, value: int) -> int:
        return self._code.constant(int(Long(value)))

    def value(self, operand: int) -> int | None:
        return self._code.value(operand)

    def emit(self, opcode: int, dst: int = -1, a: int = -1, b: int = -1, c: int = -1, own: int = 0) -> None:
        if not self._code.constants:
            self._code.constant(0)  # so that an operand that is not used is always there
        self._code.rows.append([opcode, dst, a, b, c, own])

    def operation(
        self, name: str, opcode: int, dst: int = -1, *operands: int, own: int = 0, site: Site | None = None
    ) -> None:
        self._code.names[len(self._code.rows)] = name
        if site is not None:
            self._code.sites[len(self._code.rows)] = site
        a, b, c = (*operands, -1, -1, -1)[:3]
        self.emit(opcode, dst, a, b, c, own)

    @property
    def row(self) -> int:
        """The number of the next row."""
        return len(self._code.rows)

    def poll(self, first: int) -> None:
        """The operations from row `first` on are inside a `while`."""
        self._code.polling.update(at for at in range(first, self.row) if at in self._code.names)

    def locate(self, site: Site) -> None:
        """The row just written may have no result, and is at this place of the source."""
        self._code.sites[self.row - 1] = site

    def give(self, result: int) -> None:
        if self.value(result) != 0:
            self.emit(i.RESULT, -1, result)

    def label(self) -> int:
        self._labels.append(None)
        return len(self._labels) - 1

    def place(self, label: int) -> None:
        self._labels[label] = len(self._code.rows)

    def jump(self, opcode: int, label: int, a: int = -1, b: int = -1) -> None:
        self.emit(opcode, label, a, b)

    def call(self, function: ProgramFunction, arguments: Sequence[int]) -> int:
        """Write a program out; the operand that holds its result."""
        source = ProgramSource(function, self.compiler.constants)
        source.check_recursion(self._callers)
        _check(source)
        outer, self._callers = self._callers, (*self._callers, function)
        result = _Inline(self, source).write(arguments)
        self._callers = outer
        return result

    def finish(self, function: ProgramFunction, parameters: int) -> Stretch:
        self.emit(i.END)
        for row in self._code.rows[self._start :]:
            if i.JUMP <= row[i.OPCODE] <= i.JUMP_UNLESS_LT:
                target = self._labels[row[i.DST]]
                assert target is not None
                row[i.DST] = target
        stretch = Stretch(function, self._start, len(self._code.rows), parameters, self._registers)
        self._code.stretches.append(stretch)
        return stretch


_CHECKED: Final[set[tuple[ProgramFunction, frozenset[tuple[str, int]]]]] = set()


def _check(source: ProgramSource) -> None:
    """Refuse what the native engine refuses, in the same words: this compiler takes the rest for granted.

    Once for each program: writing one out at every call took 40 of the 85 ms in which a model of the release is made.
    """
    key = source.function, frozenset(source.constants.items())
    if key in _CHECKED:
        return
    Rewriter(
        source,
        name_of=lambda function: function.__name__,
        number_of=lambda _: 0,
        mark_of=lambda _: 0,
        site_of=lambda _: 0,
    ).rewrite()
    _CHECKED.add(key)


class _Inline:
    """Writes out one call of one program."""

    def __init__(self, body: _Body, source: ProgramSource) -> None:
        self._body = body
        self._source = source
        self._variables: dict[str, int] = {}
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

    # --- statements

    def _block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            getattr(self, f"_do_{type(statement).__name__}")(statement)

    def _do_Pass(self, node: ast.Pass) -> None:
        pass

    def _do_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._value(node.value)

    def _do_Assign(self, node: ast.Assign) -> None:
        value = self._value(node.value)
        for target in node.targets:
            assert isinstance(target, ast.Name)
            self._store(target.id, value)

    def _do_AnnAssign(self, node: ast.AnnAssign) -> None:
        assert isinstance(node.target, ast.Name)
        assert node.value is not None
        self._store(node.target.id, self._value(node.value))

    def _do_AugAssign(self, node: ast.AugAssign) -> None:
        assert isinstance(node.target, ast.Name)
        name = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        self._store(node.target.id, self._value(ast.copy_location(ast.BinOp(name, node.op, node.value), node)))

    def _store(self, name: str, value: int) -> None:
        if name not in self._variables:
            self._variables[name] = self._body.register()
        self._body.emit(i.MOV, self._variables[name], value)

    def _do_If(self, node: ast.If) -> None:
        orelse, end = self._body.label(), self._body.label()
        self._jump_unless(node.test, orelse)
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
        self._jump_unless(node.test, over)
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
            turn if len(bounds) == 1 else self._binary(ast.Add(), start, self._binary(ast.Mult(), turn, step)),
        )
        self._loop(node.body, following, over)
        body.place(following)
        body.emit(i.ADD, turn, turn, one)
        body.jump(i.JUMP, again)
        body.place(over)

    def _kept(self, node: ast.expr) -> int:
        """A bound of a `range`, which later assignments to a variable in it do not move."""
        operand = self._value(node)
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
            value = self._value(node.value) if node.value is not None else self._body.constant(0)
            self._body.emit(i.MOV, self._result, value)
        self._body.jump(i.JUMP, self._end)

    def _jump_unless(self, test: ast.expr, label: int) -> None:
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Lt):
            left, right = self._value(test.left), self._value(test.comparators[0])
            self._body.jump(i.JUMP_UNLESS_LT, label, left, right)
            return
        value = self._value(test)
        known = self._body.value(value)
        if known is None:
            self._body.jump(i.JUMP_IF_NOT, label, value)
        elif not known:
            self._body.jump(i.JUMP, label)

    # --- expressions: each gives the operand that holds its value

    def _value(self, node: ast.expr) -> int:
        operand: int = getattr(self, f"_of_{type(node).__name__}")(node)
        return operand

    def _of_Constant(self, node: ast.Constant) -> int:
        assert isinstance(node.value, int)
        return self._body.constant(int(node.value))

    def _of_Name(self, node: ast.Name) -> int:
        if node.id in self._source.locals:
            return self._variables[node.id]
        return self._body.constant(self._source.constant(node))

    def _of_Attribute(self, node: ast.Attribute) -> int:
        return self._body.constant(self._source.constant(node))

    def _of_BinOp(self, node: ast.BinOp) -> int:
        result = self._binary(node.op, self._value(node.left), self._value(node.right))
        if isinstance(node.op, _PARTIAL) and result >= 0:
            self._body.locate(self._source.site_of(node))
        return result

    def _binary(self, operator: ast.operator, left: int, right: int) -> int:
        opcode, fold = _BINARY[type(operator)]
        a, b = self._body.value(left), self._body.value(right)
        if a is not None and b is not None and not (b == 0 and isinstance(operator, ast.FloorDiv | ast.Mod)):
            return self._body.constant(fold(Long(a), Long(b)))
        if opcode == i.ADD and 0 in (a, b):
            return right if a == 0 else left
        return self._into(opcode, left, right)

    def _of_UnaryOp(self, node: ast.UnaryOp) -> int:
        operand = self._value(node.operand)
        if isinstance(node.op, ast.UAdd):
            return operand
        known = self._body.value(operand)
        if known is not None:
            return self._body.constant(_FOLDED[type(node.op)](Long(known)))
        return self._into(_UNARY[type(node.op)], operand)

    def _of_Compare(self, node: ast.Compare) -> int:
        left = self._value(node.left)
        if len(node.ops) == 1:
            return self._compared(node.ops[0], left, self._value(node.comparators[0]))
        result, end = self._body.register(), self._body.label()
        for operator, comparator in zip(node.ops, node.comparators, strict=True):
            right = self._value(comparator)
            self._body.emit(i.MOV, result, self._compared(operator, left, right))
            self._body.jump(i.JUMP_IF_NOT, end, result)
            left = right
        self._body.place(end)
        return result

    def _compared(self, operator: ast.cmpop, left: int, right: int) -> int:
        opcode, swapped = _COMPARED[type(operator)]
        return self._into(opcode, right, left) if swapped else self._into(opcode, left, right)

    def _of_BoolOp(self, node: ast.BoolOp) -> int:
        result, end = self._body.register(), self._body.label()
        for value in node.values:
            self._body.emit(i.MOV, result, self._value(value))
            if value is not node.values[-1]:
                self._body.jump(i.JUMP_IF_NOT if isinstance(node.op, ast.And) else i.JUMP_IF, end, result)
        self._body.place(end)
        return result

    def _of_IfExp(self, node: ast.IfExp) -> int:
        result, orelse, end = self._body.register(), self._body.label(), self._body.label()
        self._jump_unless(node.test, orelse)
        self._body.emit(i.MOV, result, self._value(node.body))
        self._body.jump(i.JUMP, end)
        self._body.place(orelse)
        self._body.emit(i.MOV, result, self._value(node.orelse))
        self._body.place(end)
        return result

    def _of_Call(self, node: ast.Call) -> int:
        function = self._source.resolve(node.func)
        opcode = next(code for known, code in _CALLED.items() if known is function)
        values = [self._value(argument) for argument in node.args]
        if function is int:
            return values[0]
        result = self._into(opcode, *values[:2])
        for value in values[2:]:
            result = self._into(opcode, result, value)
        return result

    def _of_YieldFrom(self, node: ast.YieldFrom) -> int:
        callee = self._source.callee(node.value)
        assert isinstance(node.value, ast.Call)
        return self._body.call(callee, [self._value(argument) for argument in node.value.args])

    def _into(self, opcode: int, *operands: int) -> int:
        result = self._body.register()
        self._body.emit(opcode, result, *operands)
        return result

    # --- operations

    def _of_Yield(self, node: ast.Yield) -> int:
        operation, call = self._source.operation(node)
        operands = self._operands(operation, call)
        result = self._body.register()
        site = self._source.sites[node.lineno, node.col_offset]
        own = int(operation.own) | i.DEREFERENCE * operation.dereference
        own |= i.PER_CPU * (bool(call.args) and self._is_per_cpu(call.args[operation.address_at]))
        self._body.operation(operation.name, operation.opcode, result, *operands, own=own, site=site)
        return result

    def _operands(self, operation: Operation, call: ast.Call) -> list[int]:
        kinds = [kind for _, kind in operation.parameters]
        operands = [self._argument(kind, node) for kind, node in zip(kinds, call.args, strict=True)]
        if operation.operand == "negated":
            known = self._body.value(operands[1])
            operands[1] = self._body.constant(-Long(known)) if known is not None else self._into(i.NEG, operands[1])
        elif operation.operand != "given":
            operands.append(self._body.constant(operation.operand))
        return operands

    def _argument(self, kind: Kind, node: ast.expr) -> int:
        """The operand for an argument: programs and marks go by the number that the code gives them."""
        code = self._body.compiler.code
        if kind == "program":
            return self._body.constant(_number(code.queued, self._source.resolve(node)))
        if kind == "name":
            assert isinstance(node, ast.Constant)
            return self._body.constant(_number(code.marks, str(node.value)))
        return self._pointer(node) if kind == "pointer" else self._value(node)

    def _is_per_cpu(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and self._source.resolve(node.func) is ops.per_cpu

    def _pointer(self, node: ast.expr) -> int:
        if isinstance(node, ast.Call) and self._is_per_cpu(node):
            return self._into(i.PERCPU, *[self._value(argument) for argument in node.args])
        return self._value(node)


def _number(known: list[T], value: T) -> int:
    """The place of a value in a list, at whose end it is put where it is new."""
    if value not in known:
        known.append(value)
    return known.index(value)
