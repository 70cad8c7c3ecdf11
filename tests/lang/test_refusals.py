"""What is no part of the language is refused: file, line and reason, before anything runs."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.lang import image, native, source, subset
from percpu_emu.lang.image import Image
from percpu_emu.lang.source import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PROLOGUE: Final = """\
import enum
import functools
import math
from percpu_emu.lang import ops
from percpu_emu.lang.ops import *

TEXT = "text"
LIST = [1]
BIG = 1 << 64

class Number(enum.IntEnum):
    ONE = 1

def plain(x):
    return x

def other(x):
    yield read_once(x)

def pair(x, y):
    yield read_once(x + y)

"""

STATEMENT: Final = "def p(x):\n    yield smp_mb()\n    {} #!\n"
EXPRESSION: Final = "def p(x):\n    yield smp_mb()\n    y = {} #!\n    return y\n"

UNKNOWN_STATEMENTS: Final = {
    "with x: pass": "a `with` is `with counted(counter, change):`",
    "assert x": "`assert x`: Assert is not part of the language",
    "raise x": "`raise x`: Raise is not part of the language",
    "import math": "`import math`: Import is not part of the language",
    "from math import pi": "`from math import pi`: ImportFrom is not part of the language",
    "del x": "`del x`: Delete is not part of the language",
    "global TEXT": "`global TEXT`: Global is not part of the language",
    "def f(): pass": "`def f():`: FunctionDef is not part of the language",
    "class C: pass": "`class C:`: ClassDef is not part of the language",
}
UNKNOWN_EXPRESSIONS: Final = {
    "lambda: 1": "`lambda: 1`: Lambda is not part of the language",
    "(z := x)": "`(z := x)`: NamedExpr is not part of the language",
    "(x, x)": "`(x, x)`: Tuple is not part of the language",
    "[x]": "`[x]`: List is not part of the language",
    "{x}": "`{x}`: Set is not part of the language",
    "{x: x}": "`{x: x}`: Dict is not part of the language",
    "[i for i in x]": "`[i for i in x]`: ListComp is not part of the language",
    "{i for i in x}": "`{i for i in x}`: SetComp is not part of the language",
    "{i: i for i in x}": "`{i: i for i in x}`: DictComp is not part of the language",
    "max(i for i in x)": "`max((i for i in x))`: 2 arguments expected, 1 given",
    "max(1, (i for i in x))": "`(i for i in x)`: GeneratorExp is not part of the language",
    "f'{x}'": "`f'{x}'`: JoinedStr is not part of the language",
    "x[0]": "`x[0]`: Subscript is not part of the language",
}
EXPRESSIONS: Final = {
    # names
    "nowhere": "`nowhere` is not defined",
    "TEXT": "`TEXT` is a str: a program computes with 64-bit numbers only",
    "LIST + 1": "`LIST` is a list: a program computes with 64-bit numbers only",
    "math.pi": "`math.pi` is a float: a program computes with 64-bit numbers only",
    "plain": "`plain` is a function: a program computes with 64-bit numbers only",
    "math.nowhere": "`math.nowhere`: only names in modules and enumerations may be dotted",
    "Number.ONE.real": "`Number.ONE.real`: only names in modules and enumerations may be dotted",
    "x.real": "`x.real`: to which structure `x` points is not known; annotate it",
    # numbers
    "1.5": "`1.5`: a program computes with 64-bit numbers only",
    "'text'": "`'text'`: a program computes with 64-bit numbers only",
    "None": "`None`: a program computes with 64-bit numbers only",
    "...": "`Ellipsis`: a program computes with 64-bit numbers only",
    "BIG": "`BIG` is 18446744073709551616, more than 64 bits hold",
    "9223372036854775808": "`9223372036854775808` is 9223372036854775808, more than 64 bits hold",
    "-9223372036854775809": "`-9223372036854775809` is -9223372036854775809, more than 64 bits hold",
    # operators
    "x << 64": "`x << 64`: a word has 64 bits: no shift by 64",
    "1 << 70": "`1 << 70`: a word has 64 bits: no shift by 70",
    "x >> -1": "`x >> -1`: a word has 64 bits: no shift by -1",
    "x << BIG": "`BIG` is 18446744073709551616, more than 64 bits hold",
    "x / 2": "`x / 2`: Div is no operation on words",
    "x ** 2": "`x ** 2`: Pow is no operation on words",
    "x @ 2": "`x @ 2`: MatMult is no operation on words",
    "x in LIST": "`x in LIST`: words are compared with == != < <= > >=",
    "x is not x": "`x is not x`: words are compared with == != < <= > >=",
    # calls
    "plain(x)": "`plain(x)`: it is neither operation nor program",
    "len(LIST)": "`len(LIST)`: it is neither operation nor program",
    "print()": "`print()`: it is neither operation nor program",
    "LIST(x)": "`LIST(x)`: it is neither operation nor program",
    "Number(x)": "`Number(x)`: it is neither operation nor program",
    "other(x)": "`other(x)`: it is a program: `yield from` it",
    "read_once(x)": "`read_once(x)`: it is an operation: `yield` it",
    "ops.read_once(x)": "`ops.read_once(x)`: it is an operation: `yield` it",
    "nowhere(x)": "`nowhere` is not defined",
    "x(1)": "`x` is a local variable, which holds a number",
    "plain(x)(x)": "`plain(x)` is not a name",
    "abs()": "`abs()`: 1 argument expected, 0 given",
    "abs(x, x)": "`abs(x, x)`: 1 argument expected, 2 given",
    "int()": "`int()`: 1 argument expected, 0 given",
    "min(x)": "`min(x)`: 2 arguments expected, 1 given",
    "max(x, 1, key=x)": "`max(x, 1, key=x)`: arguments are positional",
    "max(*x)": "`max(*x)`: arguments are positional",
    # per_cpu
    "per_cpu(x, 0)": "`per_cpu(x, 0)`: it stands only as the pointer of an operation",
    "(yield read_once(per_cpu(x, 0) + 1))": "`per_cpu(x, 0)`: it stands only as the pointer of an operation",
    "(yield this_cpu_read(per_cpu(x, 0)))": "`per_cpu(x, 0)`: it stands only as the pointer of an operation",
    "(yield write_once(x, per_cpu(x, 0)))": "`per_cpu(x, 0)`: it stands only as the pointer of an operation",
    "(yield from other(per_cpu(x, 0)))": "`per_cpu(x, 0)`: it stands only as the pointer of an operation",
    "(yield read_once(per_cpu(x)))": "`per_cpu(x)`: 2 arguments expected, 1 given",
    "(yield read_once(per_cpu(pointer=x, cpu=0)))": "`per_cpu(pointer=x, cpu=0)`: arguments are positional",
    # yield
    "(yield)": "`yield`: only an operation is yielded",
    "(yield x)": "`yield x`: only an operation is yielded",
    "(yield plain(x))": "`yield plain(x)`: only an operation is yielded",
    "(yield other(x))": "`yield other(x)`: only an operation is yielded; a program is called by `yield from`",
    "(yield per_cpu(x, 0))": "`yield per_cpu(x, 0)`: only an operation is yielded",
    "(yield ops.Op('read_once', x))": "`yield ops.Op('read_once', x)`: only an operation is yielded",
    "(yield x(1))": "`x` is a local variable, which holds a number",
    "(yield read_once())": "`read_once()`: 1 argument expected, 0 given",
    "(yield read_once(x, x))": "`read_once(x, x)`: 1 argument expected, 2 given",
    "(yield write_once(x))": "`write_once(x)`: 2 arguments expected, 1 given",
    "(yield read_once(pointer=x))": "`read_once(pointer=x)`: arguments are positional",
    "(yield read_once(*x))": "`read_once(*x)`: arguments are positional",
    "(yield from x)": "`yield from x`: only a program is called so",
    "(yield from plain(x))": "`yield from plain(x)`: only a program is called so",
    "(yield from read_once(x))": "`yield from read_once(x)`: only a program is called so",
    "(yield from functools.partial(other, x)())": "`functools.partial(other, x)` is not a name",
    "(yield from other())": "`other()`: 1 argument expected, 0 given",
    "(yield from pair(x, y=x))": "`pair(x, y=x)`: arguments are positional",
    # arguments that are not words
    "(yield call_rcu(plain, x))": "`call_rcu(plain, x)`: a callback is a program with one parameter",
    "(yield queue_work(pair, x))": "`queue_work(pair, x)`: a callback is a program with one parameter",
    "(yield call_rcu(x, x))": "`x` is a local variable, which holds a number",
    "(yield call_rcu(1, x))": "`1` is not a name",
    "(yield mark(x))": "`mark(x)`: a mark's name is written out",
    "(yield mark(TEXT))": "`mark(TEXT)`: a mark's name is written out",
    "(yield mark(1))": "`mark(1)`: a mark's name is written out",
}
STATEMENTS: Final = {
    "x[0] = 1": "`x[0] = 1`: only local variables are assigned to",
    "ops.x = 1": "`ops.x = 1`: only local variables are assigned to",
    "y, z = x, x": "`y, z = (x, x)`: only local variables are assigned to",
    "x[0] += 1": "`x[0] += 1`: only local variables are assigned to",
    "x /= 2": "`x /= 2`: Div is no operation on words",
    "y: int": "`y: int`: an annotated variable is a local one with a value",
    "ops.x: int = 1": "`ops.x: int = 1`: an annotated variable is a local one with a value",
    "for i in LIST: pass": "a `for` goes over `range(...)` with one variable and has no `else`",
    "for i in plain(x): pass": "a `for` goes over `range(...)` with one variable and has no `else`",
    "for i, j in range(x): pass": "a `for` goes over `range(...)` with one variable and has no `else`",
    "for i in range(): pass": "`range()`: 1 argument expected, 0 given",
    "for i in range(1, 2, 3, 4): pass": "`range(1, 2, 3, 4)`: 3 arguments expected, 4 given",
    "for i in range(1, stop=x): pass": "`range(1, stop=x)`: arguments are positional",
    "for i in range(*x): pass": "`range(*x)`: arguments are positional",
    "return None": "`None`: a program computes with 64-bit numbers only",
    "'text'": "`'text'`: a program computes with 64-bit numbers only",
}
WHOLE: Final = {
    # a loop's `else`
    "def p(x):\n    for i in range(x): #!\n        yield smp_mb()\n    else:\n        pass": (
        "a `for` goes over `range(...)` with one variable and has no `else`"
    ),
    "def p(x):\n    while x: #!\n        yield smp_mb()\n    else:\n        pass": "a `while` has no `else`",
    # statements that go over several lines
    "def p(x):\n    yield smp_mb()\n    try: #!\n        pass\n    finally:\n        pass": (
        "`try:`: Try is not part of the language"
    ),
    "def p(x):\n    yield smp_mb()\n    match x: #!\n        case 1:\n            pass": (
        "`match x:`: Match is not part of the language"
    ),
    "def p(x):\n    y = (yield #!\n        read_once(x) + x)": (
        "`yield (read_once(x) + x)`: only an operation is yielded"
    ),
    "def p(x):\n    y = (yield read_once(x)) + (\n        plain(x)) #!": (
        "`plain(x)`: it is neither operation nor program"
    ),
    "def p(x):\n    y = yield read_once(x)\n    z = lambda: y #!": ("`lambda: y`: Lambda is not part of the language"),
    # the program itself
    "p = lambda x: (yield read_once(x)) #!": "a program is a plain `def`, neither async nor a lambda",
    "p = max([\n    lambda x: (yield read_once(x))]) #!": "a program is a plain `def`, neither async nor a lambda",
    "async def p(x): #!\n    yield smp_mb()": "a program is a plain `def`, neither async nor a lambda",
    "def p(x): #!\n    return x": "p yields nothing: a program is a generator function",
    "def p(x=1): #!\n    yield read_once(x)": "a program's parameters are positional, without defaults, `*` or `**`",
    "def p(*x): #!\n    yield smp_mb()": "a program's parameters are positional, without defaults, `*` or `**`",
    "def p(**x): #!\n    yield smp_mb()": "a program's parameters are positional, without defaults, `*` or `**`",
    "def p(*, x): #!\n    yield smp_mb()": "a program's parameters are positional, without defaults, `*` or `**`",
    "def around(y):\n    def p(x): #!\n        yield write_once(x, y)\n    return p\np = around(1)": (
        "p uses variables of the function around it; a program stands at module level"
    ),
    "@functools.cache\ndef f(x): #!\n    yield read_once(x)\np = f.__wrapped__": (
        "f is decorated; a program is run as it stands"
    ),
    "exec('def p(x):\\n    yield read_once(x)')": (
        "the source of p cannot be read: could not get source code; a program stands in a file or in a cell"
    ),
    # recursion
    "def p(x): #!\n    yield smp_mb()\n    yield from p(x)": "p calls itself; a program does not recurse",
    "def p(x): #!\n    yield from q(x)\ndef q(x):\n    yield smp_mb()\n    yield from p(x)": (
        "p calls itself; a program does not recurse"
    ),
    # programs that this one brings along
    "def p(x):\n    yield from q(x)\ndef q(x):\n    yield plain(x) #!": (
        "`yield plain(x)`: only an operation is yielded"
    ),
    "def p(x):\n    yield call_rcu(q, x)\ndef q(x):\n    yield queue_work(r, x)\ndef r(x):\n    yield plain(x) #!": (
        "`yield plain(x)`: only an operation is yielded"
    ),
    # a variable without a value; more of them in test_subset.py
    "def p(x):\n    if x:\n        y = yield read_once(x)\n    return y #!": "`y` may be used before it has a value",
}

CASES: Final = {
    **{STATEMENT.format(text): reason for text, reason in (UNKNOWN_STATEMENTS | STATEMENTS).items()},
    **{EXPRESSION.format(text): reason for text, reason in (UNKNOWN_EXPRESSIONS | EXPRESSIONS).items()},
    **WHOLE,
}
SHOWN: Final = [
    *UNKNOWN_STATEMENTS, *STATEMENTS, *UNKNOWN_EXPRESSIONS, *EXPRESSIONS, *(text.replace("\n", "|") for text in WHOLE),
]  # fmt: skip


def refusal(module_of: Callable[[str], ModuleType], text: str) -> tuple[Refused, str, int]:
    """How the program `p` of a text is refused, and the file and line that its `#!` marks."""
    module = module_of(PROLOGUE + text)
    with pytest.raises(Refused) as caught:
        Image([module.p])
    marked = [number for number, line in enumerate((PROLOGUE + text).splitlines(), 1) if "#!" in line]
    return caught.value, str(module.__file__), marked[0] if marked else 1


@pytest.mark.parametrize(("text", "reason"), CASES.items(), ids=SHOWN)
def test_a_program_outside_the_language_is_refused(
    module_of: Callable[[str], ModuleType], text: str, reason: str
) -> None:
    refused, file, line = refusal(module_of, text)
    expected_file = "<string>" if text.startswith("exec") else file
    assert str(refused) == f"{expected_file}:{line}: {reason}"
    assert (refused.file, refused.line, refused.reason) == (expected_file, line, reason)


def test_every_refusal_of_the_compiler_is_in_the_table(module_of: Callable[[str], ModuleType]) -> None:
    """Each line of the compiler that refuses something is reached by a program of the table."""
    reached = set()
    for text in CASES:
        refused, _, _ = refusal(module_of, text)
        trace: Any = refused.__traceback__
        frames = [trace]
        while frames[-1].tb_next is not None:
            frames.append(frames[-1].tb_next)
        refusing = next(frame for frame in reversed(frames) if frame.tb_frame.f_code.co_name != "refuse")
        reached.add((refusing.tb_frame.f_code.co_filename, refusing.tb_lineno))
    places = {place for module in (native, source, subset, image) for place in refusing_lines(module)}
    untested = {(file, lines) for file, lines in places if not any(file == f and line in lines for f, line in reached)}
    assert untested == refusals_of_an_image()


def refusing_lines(module: ModuleType) -> set[tuple[str, range]]:
    """Where `refuse` is called in a module."""
    file = str(module.__file__)
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]
    return {
        (file, range(call.lineno, (call.end_lineno or call.lineno) + 1))
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "refuse"
    }


def refusals_of_an_image() -> set[tuple[str, range]]:
    """Of a worker, of what no process can do (`test_image.py`), of interrupts (`tests/machine/test_interrupts.py`)."""
    places = set(refusing_lines(image))
    assert len(places) == 3
    return places


def test_a_refusal_is_a_syntax_error() -> None:
    assert issubclass(Refused, SyntaxError)
