"""Expressions of a program as rows: each gives the operand that holds its value."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from percpu_emu.lang import instructions as i
from percpu_emu.lang import ops
from percpu_emu.lang.locking import locking_of
from percpu_emu.lang.operation import Kind, Operation
from percpu_emu.lang.source import ProgramSource
from percpu_emu.lang.words import Long

if TYPE_CHECKING:
    from percpu_emu.lang.bytecode import Body

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
COMPARED: Final[dict[type[ast.cmpop], tuple[int, bool]]] = {
    ast.Eq: (i.EQ, False),
    ast.NotEq: (i.NE, False),
    ast.Lt: (i.LT, False),
    ast.LtE: (i.LE, False),
    ast.Gt: (i.LT, True),
    ast.GtE: (i.LE, True),
}
"""Opcode, and whether its operands are swapped."""
_CALLED: Final[dict[Any, int]] = {abs: i.ABS, min: i.MIN, max: i.MAX, int: i.MOV}


class Expressions:
    """Those of one call of one program. `variables`: the register of each, which statements add to."""

    def __init__(self, body: Body, source: ProgramSource, variables: Mapping[str, int]) -> None:
        self._body = body
        self._source = source
        self._variables = variables

    def value(self, node: ast.expr) -> int:
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
        result = self.binary(node.op, self.value(node.left), self.value(node.right))
        if isinstance(node.op, _PARTIAL) and result >= 0:
            self._body.locate(self._source.site_of(node))
        return result

    def binary(self, operator: ast.operator, left: int, right: int) -> int:
        opcode, fold = _BINARY[type(operator)]
        a, b = self._body.value(left), self._body.value(right)
        if a is not None and b is not None and not (b == 0 and isinstance(operator, ast.FloorDiv | ast.Mod)):
            return self._body.constant(fold(Long(a), Long(b)))
        if opcode == i.ADD and 0 in (a, b):
            return right if a == 0 else left
        return self._into(opcode, left, right)

    def _of_UnaryOp(self, node: ast.UnaryOp) -> int:
        operand = self.value(node.operand)
        if isinstance(node.op, ast.UAdd):
            return operand
        known = self._body.value(operand)
        if known is not None:
            return self._body.constant(_FOLDED[type(node.op)](Long(known)))
        return self._into(_UNARY[type(node.op)], operand)

    def _of_Compare(self, node: ast.Compare) -> int:
        left = self.value(node.left)
        if len(node.ops) == 1:
            return self._compared(node.ops[0], left, self.value(node.comparators[0]))
        result, end = self._body.register(), self._body.label()
        for operator, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.value(comparator)
            self._body.emit(i.MOV, result, self._compared(operator, left, right))
            self._body.jump(i.JUMP_IF_NOT, end, result)
            left = right
        self._body.place(end)
        return result

    def _compared(self, operator: ast.cmpop, left: int, right: int) -> int:
        opcode, swapped = COMPARED[type(operator)]
        return self._into(opcode, right, left) if swapped else self._into(opcode, left, right)

    def _of_BoolOp(self, node: ast.BoolOp) -> int:
        result, end = self._body.register(), self._body.label()
        for value in node.values:
            self._body.emit(i.MOV, result, self.value(value))
            if value is not node.values[-1]:
                self._body.jump(i.JUMP_IF_NOT if isinstance(node.op, ast.And) else i.JUMP_IF, end, result)
        self._body.place(end)
        return result

    def _of_IfExp(self, node: ast.IfExp) -> int:
        result, orelse, end = self._body.register(), self._body.label(), self._body.label()
        self.jump_unless(node.test, orelse)
        self._body.emit(i.MOV, result, self.value(node.body))
        self._body.jump(i.JUMP, end)
        self._body.place(orelse)
        self._body.emit(i.MOV, result, self.value(node.orelse))
        self._body.place(end)
        return result

    def jump_unless(self, test: ast.expr, label: int) -> None:
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Lt):
            left, right = self.value(test.left), self.value(test.comparators[0])
            self._body.jump(i.JUMP_UNLESS_LT, label, left, right)
            return
        value = self.value(test)
        known = self._body.value(value)
        if known is None:
            self._body.jump(i.JUMP_IF_NOT, label, value)
        elif not known:
            self._body.jump(i.JUMP, label)

    def _of_Call(self, node: ast.Call) -> int:
        function = self._source.resolve(node.func)
        opcode = next(code for known, code in _CALLED.items() if known is function)
        values = [self.value(argument) for argument in node.args]
        if function is int:
            return values[0]
        result = self._into(opcode, *values[:2])
        for value in values[2:]:
            result = self._into(opcode, result, value)
        return result

    def _of_YieldFrom(self, node: ast.YieldFrom) -> int:
        callee = self._source.callee(node.value)
        assert isinstance(node.value, ast.Call)
        arguments = [self.value(argument) for argument in node.value.args]
        return self._body.call(callee, arguments, self._source.call_site(node))

    def _into(self, opcode: int, *operands: int) -> int:
        result = self._body.register()
        self._body.emit(opcode, result, *operands)
        return result

    def _of_Yield(self, node: ast.Yield) -> int:
        operation, call = self._source.operation(node)
        operands = self._operands(operation, call)
        result = self._body.register()
        site = self._source.sites[node.lineno, node.col_offset]
        own = int(operation.own) | i.DEREFERENCE * operation.dereference
        own |= i.PER_CPU * (bool(call.args) and self._is_per_cpu(call.args[operation.address_at]))
        locking = locking_of(self._source.function).get(operation.name)
        if locking is not None:
            self._body.locks(self._source, locking, site)
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
        return self._pointer(node) if kind == "pointer" else self.value(node)

    def _is_per_cpu(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and self._source.resolve(node.func) is ops.per_cpu

    def _pointer(self, node: ast.expr) -> int:
        if isinstance(node, ast.Call) and self._is_per_cpu(node):
            return self._into(i.PERCPU, *[self.value(argument) for argument in node.args])
        return self.value(node)


def _number(known: list[T], value: T) -> int:
    """The place of a value in a list, at whose end it is put where it is new."""
    if value not in known:
        known.append(value)
    return known.index(value)
