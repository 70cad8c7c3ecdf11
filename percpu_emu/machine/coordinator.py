"""Programs in the coordinator: those that it begins itself, and the callbacks and work that contexts have queued."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from percpu_emu.lang import context as c
from percpu_emu.lang.checks import Check
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.reference import Reference
from percpu_emu.machine.cpu_state import SECTIONS
from percpu_emu.machine.memory import MachineMemory
from percpu_emu.machine.services import DirectLine
from percpu_emu.shm import SignalsHeld

_OF_A_PROGRAM: Final = [
    *SECTIONS, c.AT, c.ATOMIC, c.WAITS, c.WAITS_FOR, c.WAITS_VALUE, *range(c.NOTED, c.NOTES + 2 * c.MAX_NOTES),
]  # fmt: skip
"""Words of the coordinator's control block that belong to the program that it runs."""

Hook = Callable[[int], None]


class Coordinator:
    """Runs them. `answer` serves what they ask for; `look` raises where an access of theirs has trapped."""

    def __init__(
        self, memory: MachineMemory, image: Image, answer: Callable[[int, int, int], int], look: Callable[[], None]
    ) -> None:
        self.before: dict[ProgramFunction, Hook] = {}
        self.after: dict[ProgramFunction, Hook] = {}
        """What is called before and after a queued program, with its argument."""
        self.work: deque[tuple[ProgramFunction, int]] = deque()
        self.running: ProgramFunction | None = None
        """The program that has begun last and not ended."""
        self.depth = 0
        """How many programs have begun and not ended: each runs while the one before waits."""
        self.atomic = False
        """Whether a callback runs, which may not sleep."""
        self._image = image
        self._block = memory.blocks[memory.coordinator]
        ctx = memory.context(memory.coordinator)
        self._bases = ctx.bases()
        self._reference = Reference(ctx, image)
        self._line = DirectLine(memory, answer)
        self._look = look

    def execute(self, function: ProgramFunction, *arguments: int) -> int:
        """Run a program: compiled where the image has it, else by the reference engine. Its result."""
        self._look()
        compiled = self._image.compiled(function)
        before, self.running = self.running, function
        self.depth += 1
        try:
            with self._state_of_its_own(nested=before is not None), SignalsHeld():
                return compiled(self._bases, *arguments) if compiled else self._reference.run(function, *arguments)
        finally:
            try:
                self._look()  # first: what it was refused afterwards may come of that
                self._line.reraise()
            finally:
                self.running = before
                self.depth -= 1

    @contextmanager
    def _state_of_its_own(self, *, nested: bool) -> Iterator[None]:
        """A program that runs while another one of the coordinator's waits leaves that one's words as they are."""
        saved = self._block[_OF_A_PROGRAM]  # a copy
        if nested:
            self._block[_OF_A_PROGRAM] = 0
        self._block[c.ATOMIC] = self.atomic
        try:
            yield
            if self._image.instrumented and self._block[SECTIONS].any() and not self._block[c.BROKEN]:
                self._block[[c.BROKEN_AT, c.BROKEN]] = self._block[c.AT], Check.UNBALANCED_SECTION
        finally:
            if nested:
                self._block[_OF_A_PROGRAM] = saved

    def run_callback(self, function: ProgramFunction, argument: int) -> None:
        """Run a callback, which may not sleep."""
        self.atomic, before = True, self.atomic
        try:
            self._run_queued(function, argument)
        finally:
            self.atomic = before

    def run_work(self) -> int:
        """Run the work that is queued now; how much there was."""
        count = len(self.work)
        for _ in range(count):
            self._run_queued(*self.work.popleft())
        return count

    def _run_queued(self, function: ProgramFunction, argument: int) -> None:
        if before := self.before.get(function):
            before(argument)
        self.execute(function, argument)
        if after := self.after.get(function):
            after(argument)
