"""Structures in a program become what all engines compute with: addresses. `slots.b` becomes `slots + 1`.

Which structure a local variable points to follows from its annotation, or from what is assigned to it: an allocation of
`sizeof(T)`, a load from a field `Ptr[T]` or `PerCpu[T]`, another such variable. `with counted(counter, 1):` becomes a
`ledger_add` before and a `ledger_commit` behind its body.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_origin

from percpu_emu.lang.bits import read_bits, write_bits
from percpu_emu.lang.operation import OPERATIONS, operation_of
from percpu_emu.lang.ops import counted
from percpu_emu.lang.structures import (
    Array,
    AtomicLong,
    Bits,
    Struct,
    StructError,
    element_of,
    is_bits,
    is_struct,
    members,
    sizeof,
    target_of,
    words_of,
)

if TYPE_CHECKING:
    from percpu_emu.lang.source import ProgramSource

INSERTED: Final = {f"lang.ops: {name}": OPERATIONS[name].function for name in ("ledger_add", "ledger_commit")}
"""What programs yield without naming it."""

_OF_BIT_FIELDS: Final = (read_bits, write_bits)
"""Programs that a bit field is given to, and nothing else."""


@dataclass(frozen=True)
class _Place:
    """Memory that an expression names: so many words behind the value of `base`."""

    base: ast.expr
    offset: int
    type: Any


def lowered(source: ProgramSource, tree: ast.FunctionDef) -> ast.FunctionDef:
    """The definition without structures; the same where it has none. Raises Refused."""
    kinds = (ast.Attribute, ast.Subscript, ast.With)
    named = [source.function.__globals__.get(node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)]
    is_about_fields = any(value is known for value in named for known in (sizeof, *_OF_BIT_FIELDS))
    if not is_about_fields and not any(isinstance(node, kinds) for node in ast.walk(tree)):
        return tree
    try:
        rewritten = _Lowering(source, tree).visit(copy.deepcopy(tree))
    except StructError as error:
        source.refuse(tree, f"the structure cannot be laid out: {error}")
    assert isinstance(rewritten, ast.FunctionDef)
    return ast.fix_missing_locations(rewritten)


def allocated(source: ProgramSource, tree: ast.FunctionDef) -> dict[tuple[int, int], Any]:
    """The types that a program allocates: by line and column of the yield."""
    types = _Types(source, tree)
    yields = [node for node in ast.walk(tree) if isinstance(node, ast.Yield)]
    return {(n.lineno, n.col_offset): kind for n in yields if (kind := types.of_allocation(n)) is not None}


class _Types:
    """What the variables and expressions of one program point to."""

    def __init__(self, source: ProgramSource, tree: ast.FunctionDef) -> None:
        self._source = source
        self._of_local: dict[str, Any] = {}
        self._given: set[str] = set()
        """Variables whose annotation says it."""
        for argument in [*tree.args.posonlyargs, *tree.args.args]:
            self._annotate(argument.arg, argument.annotation)
        assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign)]
        for node in assignments:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self._annotate(node.target.id, node.annotation)
        known = -1
        while known != len(self._of_local):  # a variable's type may follow from one that is assigned further down
            known = len(self._of_local)
            for node in assignments:
                self._infer(node)
        self._addresses = self._of_words(assignments) - _given(tree)

    def _annotate(self, name: str, annotation: ast.expr | None) -> None:
        kind = self._global(annotation)
        if isinstance(annotation, ast.Subscript) and self._global(annotation.value) is Array:
            kind = _type(self._source, annotation)
        if is_struct(kind) or get_origin(kind) is Array:
            self._of_local[name] = kind
            self._given.add(name)

    def _global(self, node: ast.expr | None) -> Any:
        return self._source.function.__globals__.get(node.id) if isinstance(node, ast.Name) else None

    def _infer(self, node: ast.Assign | ast.AnnAssign) -> None:
        kind = self.of_value(node.value) if node.value is not None else None
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if kind is None or not isinstance(target, ast.Name) or target.id in self._given:
                continue
            if self._of_local.setdefault(target.id, kind) != kind:
                self._source.refuse(node, f"`{target.id}` points to two types; annotate it, or use two variables")

    def _of_words(self, assignments: list[ast.Assign | ast.AnnAssign]) -> frozenset[str]:
        """Variables to which only addresses of words of structures are assigned, as in `x = counter.total`."""
        values: dict[str, list[bool]] = {}
        for node in assignments:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and node.value is not None:
                    values.setdefault(target.id, []).append(self.is_word(node.value))
        return frozenset(name for name, found in values.items() if all(found))

    def is_word(self, node: ast.expr) -> bool:
        """Whether it names a word of a structure, and so is its address."""
        place = self.place(node) if isinstance(node, ast.Attribute | ast.Subscript) else None
        return place is not None and not is_struct(place.type) and get_origin(place.type) not in (Array, Bits)

    def refuse_addresses(self, *operands: ast.expr) -> None:
        """Refuse the address of a word where a number is wanted: `counter.total > 3` never looks at the count."""
        for node in operands:
            if self.is_word(node) or (isinstance(node, ast.Name) and node.id in self._addresses):
                name = ast.unparse(node)
                self._source.refuse(node, f"`{name}` is the address of a word; `yield read_once({name})` reads it")

    def of_value(self, node: ast.expr) -> Any:
        """The type that a value points to, None for a plain number."""
        if isinstance(node, ast.IfExp):
            one, other = self.of_value(node.body), self.of_value(node.orelse)
            if one is not None and other is not None and one != other:
                self._source.refuse(node, f"`{ast.unparse(node)}` points to two types")
            return other if one is None else one
        if isinstance(node, ast.Yield):
            allocation = self.of_allocation(node)
            return self._of_load(node) if allocation is None else allocation
        place = self.place(node)
        return None if place is None else place.type

    def of_allocation(self, node: ast.Yield) -> Any:
        """The T of `sizeof(T)` among an operation's arguments."""
        arguments = node.value.args if isinstance(node.value, ast.Call) else []
        sizes = [
            a for a in arguments if isinstance(a, ast.Call) and self._global(a.func) is sizeof and len(a.args) == 1
        ]
        return _type(self._source, sizes[0].args[0]) if sizes else None

    def _of_load(self, node: ast.Yield) -> Any:
        call = node.value
        operation = operation_of(self._global(call.func)) if isinstance(call, ast.Call) else None
        if operation is None or not isinstance(call, ast.Call) or len(call.args) <= operation.address_at:
            return None
        place = self.place(call.args[operation.address_at]) if operation.is_access else None
        return target_of(place.type) if place is not None else None

    def place(self, node: ast.expr) -> _Place | None:
        """The memory that an expression names, None where it is a plain number. Raises Refused."""
        if isinstance(node, ast.Name):
            if node.id in self._source.locals:
                return _Place(node, 0, self._of_local[node.id]) if node.id in self._of_local else None
            value = self._global(node)
            return _Place(ast.Constant(int(value)), 0, type(value)) if isinstance(value, Struct) else None
        if isinstance(node, ast.Attribute):
            return self._field(node)
        return self._element(node) if isinstance(node, ast.Subscript) else None

    def _field(self, node: ast.Attribute) -> _Place | None:
        whole = self.place(node.value)
        if whole is None:
            if isinstance(node.value, ast.Name) and node.value.id in self._source.locals:
                name = node.value.id
                self._source.refuse(
                    node, f"`{ast.unparse(node)}`: to which structure `{name}` points is not known; annotate it"
                )
            return None
        if not is_struct(whole.type):
            self._source.refuse(node, f"`{ast.unparse(node)}`: `{ast.unparse(node.value)}` is no structure")
        member = members(whole.type).get(node.attr)
        if member is None:
            known = ", ".join(members(whole.type))
            self._source.refuse(node, f"`{ast.unparse(node)}`: {whole.type.__name__} has the fields {known}")
        return _Place(whole.base, whole.offset + member.place, member.type)

    def _element(self, node: ast.Subscript) -> _Place | None:
        whole = self.place(node.value)
        if whole is None:
            return None
        if get_origin(whole.type) is not Array:
            self._source.refuse(node, f"`{ast.unparse(node)}`: `{ast.unparse(node.value)}` is no array")
        element, number = element_of(whole.type)
        index = _literal(node.slice)
        if index is not None:
            if not 0 <= index < number:
                self._source.refuse(node, f"`{ast.unparse(node)}`: the array has {number} elements")
            return _Place(whole.base, whole.offset + index * words_of(element), element)
        distance = _product(node.slice, words_of(element))
        return _Place(_sum(whole.base, distance), whole.offset, element)


class _Lowering(ast.NodeTransformer):
    """Rewrites one program."""

    def __init__(self, source: ProgramSource, tree: ast.FunctionDef) -> None:
        self._source = source
        self._types = _Types(source, tree)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self._types.refuse_addresses(node.left, node.right)
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self._types.refuse_addresses(node.left, *node.comparators)
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self._types.refuse_addresses(*node.values)
        return self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self._types.refuse_addresses(node.operand)
        return self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self._types.refuse_addresses(node.target, node.value)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        self._types.refuse_addresses(node.test)
        return self.generic_visit(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        self._types.refuse_addresses(node.test)
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self._types.refuse_addresses(node.test)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._address(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self._address(node)

    def _address(self, node: ast.Attribute | ast.Subscript) -> ast.AST:
        place = self._types.place(node)
        if place is None:
            return node
        if is_bits(place.type):
            self._source.refuse(
                node, f"`{ast.unparse(node)}` is a bit field, which only `read_bits` and `write_bits` take"
            )
        return self._written(place, node)

    def _written(self, place: _Place, node: ast.expr) -> ast.expr:
        """The address as an expression that stands where `node` did."""
        base = self.visit(copy.deepcopy(place.base))
        if isinstance(base, ast.Constant) and isinstance(base.value, int):
            return ast.copy_location(ast.Constant(base.value + place.offset), node)
        return ast.copy_location(_sum(base, ast.Constant(place.offset)) if place.offset else base, node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = self._source.resolve(node.func)
        if function is sizeof:
            self._source.check_arguments(node, 1)
            return ast.copy_location(ast.Constant(sizeof(_type(self._source, node.args[0]))), node)
        self._check_atomic(node)
        first = [self._bit_field(node)] if any(function is known for known in _OF_BIT_FIELDS) else []
        node.args = first + [self.visit(argument) for argument in node.args[len(first) :]]
        return node

    def _bit_field(self, node: ast.Call) -> ast.expr:
        place = self._types.place(node.args[0]) if node.args else None
        if place is None or not is_bits(place.type):
            self._source.refuse(node, f"`{ast.unparse(node)}`: its first argument is a bit field of a structure")
        return self._written(place, node.args[0])

    def _check_atomic(self, node: ast.Call) -> None:
        """Refuse `atomic_long_*` on a word that is no `AtomicLong`, as C's types do."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name.startswith("atomic_long_") and name in OPERATIONS and node.args:
            place = self._types.place(node.args[0])
            if isinstance(node.args[0], ast.Attribute | ast.Subscript) and place and place.type is not AtomicLong:
                self._source.refuse(node, f"`{ast.unparse(node)}`: `{ast.unparse(node.args[0])}` is no AtomicLong")

    def visit_With(self, node: ast.With) -> list[ast.stmt]:
        call = node.items[0].context_expr
        is_counted = isinstance(call, ast.Call) and self._source.resolve(call.func) is counted
        if len(node.items) != 1 or node.items[0].optional_vars or not is_counted:
            self._source.refuse(node, "a `with` is `with counted(counter, change):`")
        assert isinstance(call, ast.Call)
        self._source.check_arguments(call, 2)
        for leaving in _leaving(node.body):
            self._source.refuse(leaving, f"`{ast.unparse(leaving)}` leaves `with counted(...)` before its end")
        begin = ast.Call(_operation("ledger_add"), [self.visit(argument) for argument in call.args], [])
        end = ast.Call(_operation("ledger_commit"), [], [])
        statements = [_yielded(begin, call)]
        for statement in node.body:
            rewritten = self.visit(statement)
            statements += rewritten if isinstance(rewritten, list) else [rewritten]
        return [*statements, _yielded(end, node)]


def _type(source: ProgramSource, node: ast.expr) -> Any:
    """The type that an annotation or `sizeof(TYPE)` names, with arguments in brackets or without."""
    try:
        return eval(ast.unparse(node), source.function.__globals__)
    except Exception as error:
        source.refuse(node, f"`{ast.unparse(node)}` is no type: {error}")


def _given(tree: ast.FunctionDef) -> set[str]:
    """Parameters, and the variables of loops."""
    loops = [node.target for node in ast.walk(tree) if isinstance(node, ast.For)]
    arguments = {node.arg for node in ast.walk(tree.args) if isinstance(node, ast.arg)}
    return arguments | {node.id for target in loops for node in ast.walk(target) if isinstance(node, ast.Name)}


def _literal(node: ast.expr) -> int | None:
    """The number that is written there, also below 0; None for any other expression."""
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if isinstance(value, int) else None


def _leaving(body: list[ast.stmt], in_loop: bool = False) -> Iterator[ast.stmt]:
    """Statements that go on somewhere else than behind the block."""
    for statement in body:
        if isinstance(statement, ast.Return) or (isinstance(statement, ast.Break | ast.Continue) and not in_loop):
            yield statement
        for part in ("body", "orelse"):
            yield from _leaving(getattr(statement, part, []), in_loop or isinstance(statement, ast.For | ast.While))


def _operation(name: str) -> ast.expr:
    """An operation under a name that no program can write (`INSERTED`)."""
    return ast.Name(f"lang.ops: {name}", ast.Load())


def _yielded(call: ast.Call, at: ast.expr | ast.stmt) -> ast.stmt:
    """A statement that yields the operation, where `at` stands."""
    position = {name: getattr(at, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
    if isinstance(at, ast.With):
        end = at.end_lineno or at.lineno, at.end_col_offset or at.col_offset
        position = dict(zip(position, (*end, *end), strict=True))
    statement = ast.Expr(ast.Yield(call, **position), **position)
    for node in ast.walk(call):
        for name, value in position.items():
            if isinstance(node, ast.expr) and not hasattr(node, name):
                setattr(node, name, value)
    return statement


def _product(index: ast.expr, words: int) -> ast.expr:
    return index if words == 1 else ast.copy_location(ast.BinOp(index, ast.Mult(), ast.Constant(words)), index)


def _sum(base: ast.expr, distance: ast.expr) -> ast.expr:
    return ast.copy_location(ast.BinOp(base, ast.Add(), distance), distance)
