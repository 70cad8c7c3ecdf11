"""The reference engine: drives the program as a Python generator, one operation after another, on real shared memory.

It is the oracle for the other engines, and the one in which a debugger can stop inside a program: what runs is the
program's own text (`in_words`), file and lines as they are.
"""

from __future__ import annotations

import ast
import copy
from functools import cache
from itertools import islice
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, Protocol

from percpu_emu.lang.instructions import WARN_ON
from percpu_emu.lang.lowering import INSERTED
from percpu_emu.lang.modules import load_compiled
from percpu_emu.lang.nesting import effect_of
from percpu_emu.lang.operation import OPERATIONS, Op, Operation
from percpu_emu.lang.ops import PerCpuAddress, Program, ProgramFunction
from percpu_emu.lang.source import ProgramSource, Site
from percpu_emu.lang.words import Long, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from percpu_emu.lang.context import Context


class Numbers(Protocol):
    """What an `lang.image.Image` knows: numbers, and whether its programs note where they are."""

    instrumented: bool

    def known_site(self, site: Site) -> int | None:
        """The number of a site, None where no program of the image has it."""
        ...

    def number(self, function: ProgramFunction) -> int:
        """The number of a callback."""
        ...

    def mark_number(self, name: str) -> int:
        """The number of a mark."""
        ...

    def warning_number(self, site: Site) -> int:
        """The number of a `warn_on`."""
        ...


class Reference:
    """Performs operations for one context."""

    def __init__(self, ctx: Context, numbers: Numbers) -> None:
        self._bases = ctx.bases()
        self._numbers = numbers
        self._perform = _performer()

    def run(self, function: ProgramFunction, *arguments: int) -> int:
        """Run `function(*arguments)` to its end; its result, 0 if it has none."""
        return self.drive(in_words(function)(*map(Long, arguments)))

    def drive(self, program: Program[Any]) -> int:
        """Run a program, of `in_words`, that was called already."""
        result = 0
        try:
            op = next(program)
            while True:
                if self._numbers.instrumented:
                    self._reach(site_of(program), op.name)
                if op.name == "warn_on":
                    op = Op(op.name, (*op.args, self._numbers.warning_number(site_of(program))))
                op = program.send(Long(self.perform(op)))
        except StopIteration as end:
            result = int(end.value or 0)
        return wrap(result)

    def _reach(self, site: Site, operation: str) -> None:
        number = self._numbers.known_site(site)
        if number is not None:
            self._perform(self._bases, _REACH, number, effect_of(OPERATIONS[operation]), 0)

    def perform(self, op: Op) -> int:
        """Do one operation now; its result."""
        return int(self._perform(self._bases, OPERATIONS[op.name].number, *self._arguments(op)))

    def _arguments(self, op: Op) -> tuple[int, int, int]:
        words = [self._word(argument) for argument in op.args]
        words += [0] * (3 - len(words))
        return words[0], words[1], words[2]

    def _word(self, argument: int | str | PerCpuAddress | ProgramFunction) -> int:
        if isinstance(argument, int):
            return wrap(argument)
        if isinstance(argument, str):
            return self._numbers.mark_number(argument)
        if isinstance(argument, PerCpuAddress):
            pointer, cpu = wrap(argument.pointer), int(argument.cpu)
            return int(self._perform(self._bases, _PER_CPU, pointer, cpu, 0))
        return self._numbers.number(argument)


_PER_CPU: Final = len(OPERATIONS)
_REACH: Final = _PER_CPU + 1
"""Codes of what is no operation, behind those of `lang.ops`."""


@cache
def _performer() -> Any:
    """One compiled function for all operations: `perform(bases, code, a, b, c)`, by the operation's number."""
    return load_compiled(performer_text()).perform


def performer_text() -> str:
    """What numba compiles for this engine. A code that is none of an operation raises."""
    native = [operation for operation in OPERATIONS.values() if operation.native]
    codes = {operation.number: (operation.name, words_of(operation)) for operation in native}
    codes[_PER_CPU] = "per_cpu", 2
    lines = ["@entry_point(WORD(BASES, WORD, WORD, WORD, WORD))", "def perform(bases, code, a, b, c):"]
    lines += ["    ctx = context(bases)"]
    for code, (name, arity) in codes.items():
        arguments = ", ".join(["ctx", "a", "b", "c"][: arity + 1])
        lines += [f"    if code == {code}:", f"        return ops.{name}({arguments})"]
    lines += [f"    if code == {_REACH}:", "        ops.reach(ctx, a, b)", "        return 0"]
    return "\n".join([*lines, '    raise ValueError("no operation has that code")'])


def words_of(operation: Operation) -> int:
    """How many words its primitive takes; a `warn_on` takes the number of its site, too."""
    return operation.arity + (operation.opcode == WARN_ON)


# --- programs as they stand, computing with words

_IN_WORDS: Final[dict[tuple[ProgramFunction, frozenset[tuple[str, int]]], ProgramFunction]] = {}
_SOURCES: Final[dict[CodeType, ProgramSource]] = {}


def in_words(
    function: ProgramFunction, callers: tuple[ProgramFunction, ...] = (), constants: Mapping[str, int] | None = None
) -> ProgramFunction:
    """The program, with every number in it a `Long`, and 0 as its result where it has none."""
    key = function, frozenset((constants or {}).items())
    if key in _IN_WORDS:
        return _IN_WORDS[key]
    source = ProgramSource(function, constants or {})
    source.check_recursion(callers)
    rewriter = _InWords(source, callers)
    code = compile(ast.Module([rewriter.rewrite()], []), source.file, "exec", dont_inherit=True)
    names = {**function.__globals__, **rewriter.names}
    defined: dict[str, Any] = {}  # apart from the names, among which its own is the program as it stands
    exec(code, names, defined)
    rewritten: ProgramFunction = defined[source.name]
    _IN_WORDS[key] = rewritten
    _SOURCES[rewritten.__code__] = source
    return rewritten


def site_of(program: Any) -> Site:
    """The yield at which a program of `in_words` stands: that of the innermost of the programs that call each other."""
    while program.gi_yieldfrom is not None:
        program = program.gi_yieldfrom
    at, _, column, _ = next(islice(program.gi_code.co_positions(), program.gi_frame.f_lasti // 2, None))
    sites = _SOURCES[program.gi_code].sites.items()
    return next(site for (line, start), site in sites if line == at and column in (start, None))


class _InWords(ast.NodeTransformer):
    """Rewrites one program. What it uses besides the names of its module goes by `names` that no program can write."""

    def __init__(self, source: ProgramSource, callers: tuple[ProgramFunction, ...]) -> None:
        self._source = source
        self._callers = (*callers, source.function)
        self.names: dict[str, object] = {}

    def rewrite(self) -> ast.FunctionDef:
        """The definition."""
        tree = copy.deepcopy(self._source.tree)
        tree.args = ast.arguments([], [ast.arg(name) for name in self._source.parameters], None, [], [], None, [])
        tree.returns = None
        end = ast.copy_location(ast.Return(), tree.body[-1])
        tree.body = [self.visit(statement) for statement in [*tree.body, end]]
        return ast.fix_missing_locations(tree)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        value = self.visit(node.value) if node.value is not None else self._named("0", Long(0))
        return ast.copy_location(ast.Return(value), node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        value = self.visit(node.value) if node.value is not None else None
        return ast.copy_location(ast.AnnAssign(node.target, node.annotation, value, node.simple), node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self._value(node, node.value)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in INSERTED:
            return ast.copy_location(self._named(node.id, INSERTED[node.id]), node)
        return node if node.id in self._source.locals else self._value(node, self._source.resolve(node))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._value(node, self._source.resolve(node))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return self._word_of(self.generic_visit(node))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        rewritten = self.generic_visit(node)
        return self._word_of(rewritten) if isinstance(node.op, ast.Not) else rewritten

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        callee = self._source.callee(node.value)
        assert isinstance(node.value, ast.Call)
        name = self._named(f"program {id(callee)}", in_words(callee, self._callers, self._source.constants))
        call = ast.Call(name, [self.visit(argument) for argument in node.value.args], [])
        return ast.copy_location(ast.YieldFrom(ast.copy_location(call, node)), node)

    def _value(self, node: ast.expr, value: object) -> ast.AST:
        if isinstance(value, int):
            return ast.copy_location(self._named(f"{value:d}", Long(value)), node)
        if value is int or value is range:
            return ast.copy_location(self._named(value.__name__, Long if value is int else _range), node)
        return node

    def _word_of(self, node: Any) -> ast.AST:
        return ast.copy_location(ast.Call(self._named("int", Long), [node], []), node)

    def _named(self, name: str, value: object) -> ast.Name:
        self.names[f"in words: {name}"] = value
        return ast.Name(f"in words: {name}", ast.Load())


def _range(*bounds: int) -> Iterator[Long]:
    return map(Long, range(*bounds))
