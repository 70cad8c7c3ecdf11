"""A program's source, parsed and with its names resolved: what the compilers work on."""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, Final, NoReturn

from percpu_emu.lang.lowering import INSERTED, allocated, lowered
from percpu_emu.lang.operation import Operation, operation_of
from percpu_emu.lang.ops import ProgramFunction

PURE: Final[dict[Any, str]] = {abs: "ops.absolute", min: "min", max: "max", int: "int"}
"""Python functions that a program may call without a yield."""


class Refused(SyntaxError):
    """A program uses something that the engines cannot take; the message gives file, line and reason."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


def is_program(value: object) -> bool:
    """Whether it is a generator function, which is what a program is."""
    return inspect.isfunction(value) and inspect.isgeneratorfunction(value)


def is_operation(value: object) -> bool:
    """Whether it is one of the operations of `lang.ops`."""
    return operation_of(value) is not None


@dataclass(frozen=True)
class Site:
    """One yield of one program: an injection point, numbered from 1 in the order of the text; 0 is no yield."""

    program: str
    number: int
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        number = f":{self.number}" if self.number else ""
        return f"{self.program}{number} (line {self.line}: {self.text})"


@dataclass(frozen=True)
class ProgramSource:
    """One program function, with line numbers as in its file.

    `constants` replaces numbers that a program knows by a name of its module: a setting makes the kernel's smaller.
    """

    function: ProgramFunction
    constants: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """The function's name, as it stands in the file."""
        return self.function.__name__

    @cached_property
    def file(self) -> str:
        """Path of the file that defines it."""
        return inspect.getsourcefile(self.function) or "<unknown>"

    @cached_property
    def text(self) -> str:
        """The function's source, as in its file."""
        try:
            return inspect.getsource(self.function)
        except (OSError, TypeError) as error:
            line = self.function.__code__.co_firstlineno
            reason = f"the source of {self.name} cannot be read: {error}; a program stands in a file or in a cell"
            raise Refused(self.file, line, reason) from error

    @cached_property
    def tree(self) -> ast.FunctionDef:
        """The definition, in addresses instead of structures; constants change nothing in it."""
        return source_of(self.function).tree if self.constants else lowered(self, self.definition)

    @cached_property
    def definition(self) -> ast.FunctionDef:
        """The definition as it stands in the file."""
        text = textwrap.dedent(self.text)
        try:
            node = ast.parse(text).body[0]
        except SyntaxError:  # of a lambda, `text` is the line it stands in, which may be part of a statement
            self.refuse(None, "a program is a plain `def`, neither async nor a lambda")
        ast.increment_lineno(node, self.function.__code__.co_firstlineno - 1)
        if not isinstance(node, ast.FunctionDef):
            self.refuse(node, "a program is a plain `def`, neither async nor a lambda")
        if node.decorator_list:
            self.refuse(node, f"{self.name} is decorated; a program is run as it stands")
        if not is_program(self.function):
            self.refuse(node, f"{self.name} yields nothing: a program is a generator function")
        if self.function.__closure__:
            self.refuse(node, f"{self.name} uses variables of the function around it; a program stands at module level")
        return node

    @cached_property
    def parameters(self) -> list[str]:
        """Names of the parameters: positional, without defaults."""
        arguments = self.tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            self.refuse(self.tree, "a program's parameters are positional, without defaults, `*` or `**`")
        return [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]

    @cached_property
    def locals(self) -> frozenset[str]:
        """Parameters and every name that is assigned to."""
        code = self.function.__code__
        return frozenset(code.co_varnames + code.co_cellvars)

    @cached_property
    def sites(self) -> dict[tuple[int, int], Site]:
        """The yields that are operations, by line and column, in the order of the text."""
        found = {(n.lineno, n.col_offset): n for n in ast.walk(self.tree) if isinstance(n, ast.Yield) and n.value}
        texts = dict(_texts(self.definition))
        return {at: Site(self.name, number, self.file, at[0], texts[at]) for number, at in enumerate(sorted(found), 1)}

    @cached_property
    def allocated(self) -> dict[Site, Any]:
        """What type each allocation of `sizeof(T)` gives a pointer to."""
        return {self.sites[at]: kind for at, kind in allocated(self, self.definition).items()}

    def call_site(self, node: ast.YieldFrom) -> Site:
        """The place of a call of a program, as it stands in the file."""
        return Site(self.name, 0, self.file, node.lineno, source_of(self.function).calls[node.lineno, node.col_offset])

    @cached_property
    def calls(self) -> dict[tuple[int, int], str]:
        """The calls of programs as they stand in the file, by line and column."""
        calls = (node for node in ast.walk(self.definition) if isinstance(node, ast.YieldFrom))
        return {(node.lineno, node.col_offset): ast.unparse(node.value) for node in calls}

    def site_of(self, node: ast.expr) -> Site:
        """The place of an expression that is no operation."""
        return Site(self.name, 0, self.file, node.lineno, ast.unparse(node))

    def written(self, node: ast.expr | ast.stmt) -> str:
        """An expression as the file has it, on one line, where `node` has addresses instead of fields."""
        place = copy.copy(node)
        for name in ("lineno", "end_lineno"):
            if (line := getattr(node, name, None)) is not None:
                setattr(place, name, line - self.function.__code__.co_firstlineno + 1)
        text = ast.get_source_segment(textwrap.dedent(self.text), place) if hasattr(node, "lineno") else None
        for form in (f"({text})", text or ""):  # an expression may have more lines than one
            with suppress(SyntaxError):
                return ast.unparse(ast.parse(form).body[0])
        return ast.unparse(node)

    def refuse(self, node: ast.AST | None, reason: str) -> NoReturn:
        """Raise `Refused` for the line of `node`, or of the program."""
        raise Refused(self.file, getattr(node, "lineno", self.function.__code__.co_firstlineno), reason)

    def check_recursion(self, callers: tuple[ProgramFunction, ...]) -> None:
        """Refuse a program that is among its own callers."""
        if self.function in callers:
            self.refuse(self.tree, f"{self.name} calls itself; a program does not recurse")

    def resolve(self, node: ast.expr) -> Any:
        """The Python object that a name, or a dotted name in a module or an enumeration, stands for."""
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value)
            if not isinstance(base, ModuleType | type) or not hasattr(base, node.attr):
                self.refuse(node, f"`{self.written(node)}`: only names in modules and enumerations may be dotted")
            return getattr(base, node.attr)
        if not isinstance(node, ast.Name):
            self.refuse(node, f"`{self.written(node)}` is not a name")
        if node.id in self.locals:
            self.refuse(node, f"`{node.id}` is a local variable, which holds a number")
        for scope in (INSERTED, self.function.__globals__, vars(builtins)):
            if node.id in scope:
                value = scope[node.id]
                return self.constants.get(node.id, value) if isinstance(value, int) else value
        self.refuse(node, f"`{node.id}` is not defined")

    def constant(self, node: ast.expr) -> int:
        """The value of a name that stands for a number."""
        value = self.resolve(node)
        if not isinstance(value, int):
            what = type(value).__name__
            self.refuse(node, f"`{self.written(node)}` is a {what}: a program computes with 64-bit numbers only")
        return int(value)

    def operation(self, node: ast.Yield) -> tuple[Operation, ast.Call]:
        """The operation and its call in `yield CALL`, which has plain arguments."""
        call = node.value
        operation = operation_of(self.resolve(call.func)) if isinstance(call, ast.Call) else None
        if not isinstance(call, ast.Call) or operation is None:
            hint = "; a program is called by `yield from`" if self._is_call_of_a_program(call) else ""
            self.refuse(node, f"`{self.written(node)}`: only an operation is yielded{hint}")
        self.check_arguments(call, operation.arity)
        return operation, call

    def _is_call_of_a_program(self, node: ast.expr | None) -> bool:
        return isinstance(node, ast.Call) and is_program(self.resolve(node.func))

    @cached_property
    def operations(self) -> list[tuple[Operation, ast.Call, ast.Yield]]:
        """Every operation that the program yields itself, with its call and its yield, in the order of the text."""
        yields = [node for node in ast.walk(self.tree) if isinstance(node, ast.Yield)]
        yields.sort(key=lambda node: (node.lineno, node.col_offset))
        return [(*self.operation(node), node) for node in yields]

    def callee(self, node: ast.expr) -> ProgramFunction:
        """The program that `yield from CALL` calls."""
        if not isinstance(node, ast.Call) or not is_program(self.resolve(node.func)):
            self.refuse(node, f"`yield from {self.written(node)}`: only a program is called so")
        function: ProgramFunction = self.resolve(node.func)
        self.check_arguments(node, function.__code__.co_argcount)
        return function

    def check_arguments(self, node: ast.Call, expected: int) -> None:
        """Refuse a call whose arguments are not positional, or not that many."""
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            self.refuse(node, f"`{self.written(node)}`: arguments are positional")
        if len(node.args) != expected:
            what = "1 argument" if expected == 1 else f"{expected} arguments"
            self.refuse(node, f"`{self.written(node)}`: {what} expected, {len(node.args)} given")


def _texts(definition: ast.FunctionDef) -> Iterator[tuple[tuple[int, int], str]]:
    """What stands in the file for each yield: by line and column, which `with counted(...)` has two of."""
    for node in ast.walk(definition):
        if isinstance(node, ast.Yield) and node.value is not None:
            yield (node.lineno, node.col_offset), ast.unparse(node.value)
        elif isinstance(node, ast.With):
            call = node.items[0].context_expr
            yield (call.lineno, call.col_offset), ast.unparse(call)
            yield (node.end_lineno or 0, node.end_col_offset or 0), f"end of {ast.unparse(call)}"


@lru_cache(maxsize=1024)
def source_of(function: ProgramFunction) -> ProgramSource:
    """A program's source, parsed once: to parse it at every look took 80 of the 90 ms of loading a scenario."""
    return ProgramSource(function)


def sites(function: ProgramFunction) -> list[Site]:
    """The yields of a program that are operations, in the order of the text."""
    return list(source_of(function).sites.values())


def steps_by_name(functions: Iterable[ProgramFunction]) -> dict[str, list[Site]]:
    """The operations of programs, by all that they may be called: PROGRAM:NUMBER, PROGRAM:OPERATION, a mark's name."""
    found: dict[str, list[Site]] = {}
    for function in functions:
        source = source_of(function)
        for operation, call, node in source.operations:
            site = source.sites[node.lineno, node.col_offset]
            names = [f"{site.program}:{site.number}", f"{site.program}:{operation.name}"]
            if operation.name == "mark":
                names.append(str(ast.literal_eval(call.args[0])))
            for name in names:
                found.setdefault(name, []).append(site)
    return found


def queued(function: ProgramFunction) -> list[ProgramFunction]:
    """The programs that a program hands to `call_rcu` and `queue_work`."""
    source = source_of(function)
    return [source.resolve(call.args[0]) for operation, call, _ in source.operations if operation.queues]


def called(function: ProgramFunction, *, and_queued: bool = False) -> list[ProgramFunction]:
    """A program and all that it calls, directly and not; with what these queue, too, if that is wanted."""
    found = [function]
    for at in found:  # which grows meanwhile
        source = source_of(at)
        calls = [source.callee(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.YieldFrom)]
        found += dict.fromkeys(f for f in [*calls, *(queued(at) if and_queued else [])] if f not in found)
    return found
