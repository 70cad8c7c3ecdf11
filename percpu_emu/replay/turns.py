"""The programs that one process is in the middle of: begun turn by turn, and taken over from other processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from percpu_emu.lang.words import Long, wrap
from percpu_emu.replay import layout as at
from percpu_emu.replay.memory import Violated

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Op
    from percpu_emu.replay.control import Control
    from percpu_emu.replay.programs import Programs


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

    def __init__(self, control: Control, programs: Programs) -> None:
        self._control = control
        self._words = control.words
        self._programs = programs
        self._running: dict[int, Running] = {}

    def running(self, number: int, index: int) -> Running | None:
        """What a context is in the middle of, as step `index` is to be done; None where its program is over."""
        return self._running.get(number) or self._resume(number, index)

    def leave(self, number: int) -> None:
        """Forget it: its turn is over, or it goes on elsewhere."""
        self._running.pop(number, None)

    def begin(self, number: int, next_step: int, turn: int = 0) -> bool:
        """Start a turn, up to its first operation; False where it has none in this turn and all that follow."""
        words, base = self._words, self._control.layout.context(number)
        for each in range(turn, self._turns(number)):
            words[base + at.TURN], words[base + at.TURN_AT] = each, next_step
            program = self._program(number, each)
            try:
                self._running[number] = Running(program, advance(program, None))
            except StopIteration as end:
                words[base + at.RESULT] = wrap(end.value or 0)
            else:
                return True
        return False

    def next(self, number: int, result: int, next_step: int) -> bool:
        """A turn is over, with this result. Begin the next one; False where there is none: the context is over."""
        base = self._control.layout.context(number)
        self.leave(number)
        self._words[base + at.RESULT] = result
        return self.begin(number, next_step, self._words[base + at.TURN] + 1)

    def _turns(self, number: int) -> int:
        contexts = self._control.setting.contexts
        return contexts[number].turns if number < len(contexts) else 1

    def _program(self, number: int, turn: int) -> Any:
        """The generator of a turn."""
        contexts, base = self._control.setting.contexts, self._control.layout.context(number)
        if number >= len(contexts):
            return self._programs.start(self._words[base + at.FUNCTION], [self._words[base + at.ARGUMENT]])
        spec = contexts[number]
        named = {"cpu": self._control.process_of(spec.cpu), "turn": turn}
        words = [named[word] if isinstance(word, str) else word for word in spec.arguments]
        return self._programs.start(self._programs.number(spec.program), words)

    def _resume(self, number: int, index: int) -> Running | None:
        """Bring a program up to date that began in another process: generators cannot move, what they were sent can."""
        base = self._control.layout.context(number)
        program = self._program(number, self._words[base + at.TURN])
        try:
            op = advance(program, None)
            first = self._words[base + at.TURN_AT]
            for row in self._control.records(first, index - first):
                if row[at.CONTEXT] == number and row[at.WAS_SENT]:
                    op = advance(program, Long(row[at.GAVE]))
        except StopIteration:
            return None
        self._running[number] = Running(program, op)
        return self._running[number]
