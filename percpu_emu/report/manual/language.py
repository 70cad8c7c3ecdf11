"""The language of programs: what is in it, and every reason for which a program is refused, from the compilers."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Final

from percpu_emu.lang import asleep, expressions, flow, image, lowering, native, ops, raw, source, subset
from percpu_emu.lang.words import BITS, LONG_MAX, LONG_MIN
from percpu_emu.report.manual.markdown import bullets, code, page, table
from percpu_emu.scenario.trial import SECONDS, WHAT

REFUSING: Final = (source, lowering, native, subset, asleep, flow, image)
"""The modules that refuse programs."""
SYNTAX: Final[dict[type[ast.AST], str]] = {
    ast.Assign: "`x = value`, `x = y = value`: a local variable",
    ast.AnnAssign: "`x: int = value`: the same",
    ast.AugAssign: "`x += value`",
    ast.If: "`if`, `elif`, `else`",
    ast.While: "`while condition:`, without `else`",
    ast.For: "`for x in range(...)`: one to three numbers, without `else`",
    ast.Return: "`return`, `return value`; a program without one gives 0",
    ast.Expr: "an expression alone: `yield smp_mb()`, a docstring",
    ast.Pass: "`pass`",
    ast.Break: "`break`",
    ast.Continue: "`continue`",
    ast.Yield: "`yield operation(...)`: one step; it gives the operation's result",
    ast.YieldFrom: "`yield from program(...)`: a call of another program; it gives what that returns. No recursion",
    ast.Call: "a call of one of the functions below",
    ast.Name: "a local variable, or a number of the module",
    ast.Attribute: "`module.NAME`, `Enumeration.NAME`: a number. `counter.total`: an address (`help structures`)",
    ast.Constant: "a whole number",
    ast.Compare: "a comparison; `a < b < c`, too",
    ast.UnaryOp: "`-a`, `+a`, `~a`, `not a`",
    ast.BoolOp: "`a and b`, `a or b`",
    ast.IfExp: "`a if condition else b`",
    ast.BinOp: "one of the operators below",
}
_ABOUT: Final = (
    "A program is a generator function at the top of a file: a plain `def` with positional parameters. It computes "
    f"with words, whole numbers of {BITS} bits from {LONG_MIN} to {LONG_MAX}; a result beyond wraps. Every access to "
    "shared memory is a `yield` of an operation. No other context notices what is between two operations. A local "
    "variable has a value on every path to where it is read."
)
_POINTERS: Final = (
    "A pointer is the number of a word; 0 is NULL. A per-CPU pointer is an offset, the same on every CPU: `this_cpu_*` "
    "apply it to the own copy, and `per_cpu(pointer, cpu)` stands as the pointer of any other operation."
)


def language_page() -> str:
    """The rules of the language."""
    return page(
        "The language of programs",
        _ABOUT,
        _POINTERS,
        "## Statements and expressions",
        table(["Python", "form"], [[code(node.__name__), form] for node, form in SYNTAX.items()]),
        "## Operators",
        f"Arithmetic: {_operators(native.WRAPPING)}. It wraps; division by zero fails the run.",
        f"Bits: {_operators(native.BITWISE)}. A shift is by 0 to {BITS - 1}.",
        f"Comparisons: {', '.join(code(_compared(node)) for node in expressions.COMPARED)}. They give 1 or 0.",
        "## Functions",
        f"Without a yield: {', '.join(code(function.__name__) for function in source.PURE)}.",
        f"Programs of `lang.raw`, two operations each, that an interrupt can come between: {_raw()}.",
        "## Reasons for a refusal",
        "A refusal gives file, line and reason, before anything starts; exit code 2. `…` is a text of the program.",
        bullets(dict.fromkeys(reason for module in REFUSING for reason in refusals(module))),
        "## What a file of programs may not do",
        "The file is executed in a process of its own first. It may define things. It is refused if it "
        f"{', '.join(dict.fromkeys(WHAT.values()))}, prints, starts a thread, ends its process, or takes more than "
        f"{SECONDS:g} s.",
    )


def refusals(module: ModuleType) -> Iterator[str]:
    """The reasons in a module's calls of `refuse`, in the order of the text."""
    for function in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _is_refuse(node.func):
                    yield from _said(node.args[1], function, vars(module))


def _is_refuse(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "refuse"


def _said(node: ast.expr, function: ast.FunctionDef, known: dict[str, Any]) -> list[str]:
    """The texts that an expression can be: one for each value of a variable that the function sets to texts."""
    if not isinstance(node, ast.JoinedStr):
        return [str(ast.literal_eval(node))]
    said = [""]
    for part in node.values:
        said = [text + more for text in said for more in _part(part, function, known)]
    return said


def _part(node: ast.expr, function: ast.FunctionDef, known: dict[str, Any]) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    named = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(named, ast.Name):
        if isinstance(known.get(named.id), int):
            return [str(known[named.id])]
        return list(_texts_of(named.id, function)) or ["…"]
    return ["…"]


def _texts_of(name: str, function: ast.FunctionDef) -> Iterator[str]:
    """The texts that the function assigns to a variable."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            yield from (str(v.value) for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str))


def _operators(nodes: Iterable[type[ast.AST]]) -> str:
    return ", ".join(code(_applied(node)) for node in nodes)


def _applied(node: type[ast.AST]) -> str:
    if issubclass(node, ast.unaryop):
        return ast.unparse(ast.UnaryOp(node(), ast.Name("a")))
    assert issubclass(node, ast.operator)
    return ast.unparse(ast.BinOp(ast.Name("a"), node(), ast.Name("b")))


def _compared(node: type[ast.cmpop]) -> str:
    return ast.unparse(ast.Compare(ast.Name("a"), [node()], [ast.Name("b")]))


def _raw() -> str:
    return ", ".join(code(name) for name in vars(raw) if name.startswith("__this_cpu_") and not hasattr(ops, name))
