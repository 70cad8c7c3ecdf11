"""The programs that one process is in the middle of: begun turn by turn, and taken over from other processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from percpu_emu.lang.words import Long, wrap
from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.accesses import Violated
from percpu_emu.machine.controlled.control import context_offset
from percpu_emu.machine.controlled.layout import Kind

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Op
    from percpu_emu.machine.controlled.control import Control
    from percpu_emu.machine.controlled.programs import Programs
    from percpu_emu.machine.controlled.rules import Rules


@dataclass
class Running:
    """A program that has begun a turn, and the operation that it does next."""

    program: Any
    op: Op


def advance(program: Any, result: Long | None) -> Op:
    """Let a program compute up to its next operation. StopIteration at its end; what else it raises is a fault."""
    try:
        op: Op = program.send(result)
    except StopIteration:
        raise
    except Exception as error:
        raise Violated("fault", f"{type(error).__name__}: {error}") from error
    return op


class Turns:
    """By the numbers of the contexts."""

    def __init__(self, control: Control, programs: Programs, rules: Rules) -> None:
        self._control = control
        self._words = control.words
        self._programs = programs
        self._rules = rules
        self._running: dict[int, Running] = {}

    def running(self, number: int, index: int) -> Running:
        """What a context is in the middle of, as step `index` is to be done."""
        return self._running.get(number) or self._resume(number, index)

    def has_begun(self, number: int) -> bool:
        """Whether this process has its program."""
        return number in self._running

    def leave(self, number: int) -> None:
        """Forget it: its turn is over, or it goes on elsewhere."""
        self._running.pop(number, None)

    def begin(self, number: int, next_step: int, turn: int = 0) -> bool:
        """Start a program, up to its first operation; False where it has none in this turn and all that follow."""
        words, base = self._words, context_offset(number)
        words[base + at.TURN], words[base + at.TURN_AT], words[base + at.SENT] = turn, next_step, 0
        program = self._program(number, turn)
        try:
            self._running[number] = Running(program, advance(program, None))
        except StopIteration as end:
            return self.next(number, wrap(end.value or 0), next_step)
        return True

    def next(self, number: int, result: int, next_step: int) -> bool:
        """A turn is over, with this result. Begin the next one; False where there is none: the context is over."""
        base = context_offset(number)
        self.leave(number)
        self._words[base + at.RESULT] = result
        turn = self._words[base + at.TURN] + 1
        if self._words[base + at.KIND] == Kind.TASK and turn < self._turns(number):
            return self.begin(number, next_step, turn)
        if not self._words[base + at.TO_TAKE_DOWN]:
            self._rules.end(number)
        return False

    def _turns(self, number: int) -> int:
        contexts = self._control.setting.contexts
        return contexts[number].turns if number < len(contexts) else 1

    def _program(self, number: int, turn: int) -> Any:
        """The generator of a turn."""
        contexts = self._control.setting.contexts
        base = context_offset(number)
        if number >= len(contexts):
            return self._programs.start(self._words[base + at.FUNCTION], [self._words[base + at.ARGUMENT]])
        spec = contexts[number]
        own = self._control.setting.cpus if spec.cpu is None else spec.cpu
        named = {"cpu": own, "turn": turn}
        words = [named[word] if isinstance(word, str) else word for word in spec.arguments]
        return self._programs.start(spec.program, words)

    def _resume(self, number: int, index: int) -> Running:
        """Bring a program up to date that began in another process: generators cannot move, what they were sent can."""
        base = context_offset(number)
        program = self._program(number, self._words[base + at.TURN])
        op = advance(program, None)
        first = self._words[base + at.TURN_AT]
        for row in self._control.records(first, index - first):
            if row[at.CONTEXT] == number and row[at.WAS_SENT]:
                op = advance(program, Long(row[at.GAVE]))
        self._running[number] = Running(program, op)
        return self._running[number]
