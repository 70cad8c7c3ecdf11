"""The virtual engine's compiler: programs become rows of `lang.instructions`, with everything they call written out.

One table holds the code of a whole setting: one stretch for each context (contexts that do the same share it) and one
for each program that is queued as a callback. No machine code is made: a new scenario starts in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang.code import Code, Stretch
from percpu_emu.lang.locking import Locking
from percpu_emu.lang.native import Rewriter
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import ProgramSource, Site
from percpu_emu.lang.statements import Inline
from percpu_emu.lang.words import Long


class Compiler:
    """Compiles programs into one `Code`. Raises `Refused` for what is not part of the language."""

    def __init__(self, constants: Mapping[str, int]) -> None:
        self.code = Code()
        self.constants = constants

    def task(self, function: ProgramFunction, arguments: Sequence[int | str], turns: int, prelude: bool) -> Stretch:
        """A program that runs for so many turns; `prelude`: once, after its CPU was taken down.

        An argument that is text ("turn") is the number of the turn.
        """
        body = Body(self)
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
        body = Body(self)
        parameters = [body.register() for _ in ProgramSource(function).parameters]
        body.give(body.call(function, list(parameters)))
        return body.finish(function, len(parameters))


class Body:
    """One stretch in the making: instructions, registers, labels."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self._code = compiler.code
        self._start = len(self._code.rows)
        self._registers = 0
        self._labels: list[int | None] = []
        self._callers: tuple[ProgramFunction, ...] = ()
        self._calls: tuple[Site, ...] = ()

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
            self._code.calls[len(self._code.rows)] = self._calls
        a, b, c = (*operands, -1, -1, -1)[:3]
        self.emit(opcode, dst, a, b, c, own)

    def locks(self, source: ProgramSource, locking: Locking, site: Site) -> None:
        """The next operation does that to a lock; its place is the call that leads out of the file of the lock."""
        outside = [call for call in self._calls if call.file != source.file]
        self._code.locking[self.row] = locking, [site, *self._calls[-1:], *outside[-1:]][-1]

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

    def call(self, function: ProgramFunction, arguments: Sequence[int], at: Site | None = None) -> int:
        """Write a program out, which is called there; the operand that holds its result."""
        source = ProgramSource(function, self.compiler.constants)
        source.check_recursion(self._callers)
        _check(source)
        outer = self._callers, self._calls
        self._callers, self._calls = (*self._callers, function), (*self._calls, *([at] if at else []))
        result = Inline(self, source).write(arguments)
        self._callers, self._calls = outer
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
