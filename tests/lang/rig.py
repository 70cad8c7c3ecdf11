"""A rig: one CPU without a machine around it, on which a program runs in either engine, in this process."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from percpu_emu.lang import context as c
from percpu_emu.lang.context import Context
from percpu_emu.lang.image import Image
from percpu_emu.lang.reference import Reference
from percpu_emu.lang.source import is_program
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from percpu_emu.lang.ops import ProgramFunction

CPUS: Final = 3
UNIT_WORDS: Final = 1024
MEMORY_WORDS: Final = 4096
FIRST_OBJECT: Final = 2048
"""Where kzalloc begins to hand out the kernel's memory."""
FIRST_AREA: Final = 512
"""Where alloc_percpu begins, in each unit."""

Words: TypeAlias = dict[tuple[str, int], int]
"""Words that are not 0, by segment and index."""

_SERVICE: Final = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class Outcome:
    """All that can be seen of a run."""

    result: int | str
    """What the program gave, or which exception it ended with."""
    words: Words
    served: list[tuple[int, int, int]]
    """Requests to the coordinator: code and arguments."""


@dataclass
class Rig:
    """CPU 1 of three. Memory is handed out by counting upwards, and what is given back is forgotten."""

    cpu: int = 1
    before: Words = field(default_factory=dict)
    """What stands in memory when a program starts."""
    refuses: bool = False
    """Whether requests are refused, as the coordinator refuses a double free."""

    def __post_init__(self) -> None:
        self.segments = {
            "memory": Segment("memory", MEMORY_WORDS * WORD_SIZE),
            "percpu": Segment("percpu", CPUS * UNIT_WORDS * WORD_SIZE),
            "control": Segment("control", (c.HEADER_WORDS + c.BLOCK_WORDS) * WORD_SIZE),
            "ledger": Segment("ledger", MEMORY_WORDS * WORD_SIZE),
        }
        self.block = c.block_offset(0)
        self._served: list[tuple[int, int, int]] = []
        self._images: dict[ProgramFunction, Image] = {}
        self._callback = _SERVICE(self._serve)
        self.reset()

    def close(self) -> None:
        for segment in self.segments.values():
            segment.close()

    @property
    def context(self) -> Context:
        address = {name: segment.address for name, segment in self.segments.items()}
        unit = address["percpu"] + self.cpu * UNIT_WORDS * WORD_SIZE
        block = address["control"] + self.block * WORD_SIZE
        return Context(address["memory"], address["percpu"], unit, block, address["ledger"], address["control"])

    # --- running programs

    def prepare(self, programs: Iterable[ProgramFunction]) -> None:
        """Put programs into one image; the others get an image each when they first run."""
        image = Image(list(programs))
        self._images |= dict.fromkeys(image.entries, image)

    def image(self, program: ProgramFunction) -> Image:
        """The image that numbers the program's callbacks, marks and warnings."""
        if program not in self._images:
            self.prepare([program])
        return self._images[program]

    def reference(self, program: ProgramFunction, *arguments: int) -> int:
        """Run it in the reference engine, on memory as it is; its result."""
        return Reference(self.context, self.image(program)).run(program, *arguments)

    def native(self, program: ProgramFunction, *arguments: int) -> int:
        """Run it in the native engine, on memory as it is; its result."""
        compiled = self.image(program).compiled(program)
        assert compiled is not None
        return compiled(self.context.bases(), *arguments)

    def outcomes(self, program: ProgramFunction, *arguments: int) -> tuple[Outcome, Outcome]:
        """What the reference engine and the native engine make of it, each on memory as `before` has it."""
        return self._outcome(self.reference, program, arguments), self._outcome(self.native, program, arguments)

    def both(self, program: ProgramFunction, *arguments: int) -> Outcome:
        """The outcome, which has to be one for both engines."""
        reference, native = self.outcomes(program, *arguments)
        assert native == reference
        return reference

    def _outcome(self, engine: Callable[..., int], program: ProgramFunction, arguments: tuple[int, ...]) -> Outcome:
        self.reset()
        result: int | str
        try:
            result = engine(program, *arguments)
        except Exception as error:  # whichever it is, the engines have to agree
            result = type(error).__name__
        return Outcome(result, self.words(), list(self._served))

    # --- memory

    def reset(self) -> None:
        """Memory as it is before a program runs."""
        for segment in self.segments.values():
            segment.words[:] = 0
        header, block = self.segments["control"].words, self.segments["control"].words[self.block :]
        header[c.GP_SEQ] = 1
        header[c.NR_CPU_IDS] = CPUS
        header[c.NR_NODE_IDS] = 2
        header[c.LEDGER_STRIDE] = PAGE_SIZE
        header[c.UNIT_OFFSETS : c.UNIT_OFFSETS + CPUS] = [cpu * UNIT_WORDS for cpu in range(CPUS)]
        block[c.CPU] = self.cpu
        block[c.SERVICE] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        block[c.HEADER] = self.segments["control"].address
        self._handed_out = [FIRST_AREA, FIRST_OBJECT]
        self._served.clear()
        self._fixed = self._nonzero()
        for (name, index), value in self.before.items():
            self.segments[name].words[index] = value

    def words(self) -> Words:
        """Every word that is not 0; of those that `reset` sets only the ones that are another now.

        Without NO_RESULT, which the native engine alone needs: the reference engine's exception has the line itself.
        """
        words = dict.fromkeys(self._fixed, 0) | self._nonzero()
        words.pop(("control", self.block + c.NO_RESULT), None)
        return {at: value for at, value in words.items() if self._fixed.get(at) != value}

    def _nonzero(self) -> Words:
        return {
            (name, int(index)): int(segment.words[index])
            for name, segment in self.segments.items()
            for index in segment.words.nonzero()[0]
        }

    # --- the coordinator

    def _serve(self, _block: int, code: int, a: int, b: int) -> int:
        self._served.append((code, a, b))
        block = self.segments["control"].words[self.block :]
        if self.refuses:
            block[c.FAULT] = c.REFUSED
        elif code == c.DRAIN_RING:
            block[c.RING_HEAD] = block[c.RING_TAIL]
        elif code in (c.ALLOC_PERCPU, c.KZALLOC):
            kind = code == c.KZALLOC
            pointer = self._handed_out[kind]
            self._handed_out[kind] += max(1, -(-a // WORD_SIZE))
            return pointer
        return 0


def programs_of(module: Any) -> Iterable[ProgramFunction]:
    """The programs that a module defines itself, in the order of its text."""
    for value in vars(module).values():
        if is_program(value) and value.__module__ == module.__name__:
            yield value
