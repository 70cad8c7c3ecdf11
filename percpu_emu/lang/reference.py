"""The reference engine: drives the program's own generator, one operation after another, on real shared memory.

It is the oracle for the other engines, and the one in which a debugger can stop inside a program.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, Protocol

from percpu_emu.lang import ops
from percpu_emu.lang.cache import load_compiled
from percpu_emu.lang.context import Context
from percpu_emu.lang.ops import Op, PerCpu, Program, ProgramFunction
from percpu_emu.lang.source import Site, is_operation
from percpu_emu.lang.words import Long, wrap


class Numbers(Protocol):
    """What an `lang.image.Image` knows: the numbers of callbacks and marks."""

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
        self._perform, self._codes = _performer()

    def run(self, function: ProgramFunction, *arguments: int) -> int:
        """Run `function(*arguments)` to its end; its result, 0 if it has none."""
        return self.drive(function(*map(Long, arguments)))

    def drive(self, program: Program[Any]) -> int:
        """Run a program that was called already."""
        result = 0
        try:
            op = next(program)
            while True:
                if op.name == "warn_on":
                    op = Op(op.name, (*op.args, self._numbers.warning_number(_place(program))))
                op = program.send(Long(self.perform(op)))
        except StopIteration as end:
            result = int(end.value or 0)
        return wrap(result)

    def perform(self, op: Op) -> int:
        """Do one operation now; its result."""
        return int(self._perform(self._bases, self._codes[op.name], *self._arguments(op)))

    def _arguments(self, op: Op) -> tuple[int, int, int]:
        words = [self._word(argument) for argument in op.args]
        words += [0] * (3 - len(words))
        return words[0], words[1], words[2]

    def _word(self, argument: int | str | PerCpu | ProgramFunction) -> int:
        if isinstance(argument, int):
            return wrap(argument)
        if isinstance(argument, str):
            return self._numbers.mark_number(argument)
        if isinstance(argument, PerCpu):
            pointer, cpu = wrap(argument.pointer), int(argument.cpu)
            return int(self._perform(self._bases, self._codes["per_cpu"], pointer, cpu, 0))
        return self._numbers.number(argument)


@cache
def _performer() -> tuple[Any, dict[str, int]]:
    """One compiled function for all operations, `perform(bases, code, a, b, c)`, and the code of each."""
    arity = {
        name: len(inspect.signature(value).parameters) + (name == "warn_on")
        for name, value in vars(ops).items()
        if is_operation(value) or value is ops.per_cpu
    }
    codes = {name: code for code, name in enumerate(arity)}
    lines = ["@njit(WORD(BASES, WORD, WORD, WORD, WORD), cache=True)", "def perform(bases, code, a, b, c):"]
    lines += ["    ctx = context(bases)"]
    for name, code in codes.items():
        arguments = ", ".join(["ctx", "a", "b", "c"][: arity[name] + 1])
        lines += [f"    if code == {code}:", f"        return ops.{name}({arguments})"]
    lines += ["    return 0"]
    return load_compiled("\n".join(lines)).perform, codes


def _place(program: Any) -> Site:
    """Where the innermost of the programs that call each other stands."""
    while program.gi_yieldfrom is not None:
        program = program.gi_yieldfrom
    frame = program.gi_frame
    return Site(frame.f_code.co_name, 0, frame.f_code.co_filename, frame.f_lineno, "warn_on")
