"""Random programs do the same in the virtual engine as in the reference engine: alone, on one CPU.

`PERCPU_EMU_TEST_MODULES=100 pytest tests/lang/test_bytecode.py` tries more modules than the usual few.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.model import Limits, Model
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, cpumask_of
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.setting import FIRST_OBJECT, ContextSpec, Setting, unit_word
from percpu_emu.lang.source import Refused
from percpu_emu.lang.virtual import layout, outcomes
from percpu_emu.lang.words import LONG_MAX, LONG_MIN

from . import writer
from .rig import CPUS, UNIT_WORDS, Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from percpu_emu.lang.ops import ProgramFunction

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search

MODULES: Final = int(os.environ.get("PERCPU_EMU_TEST_MODULES", "12"))
PROGRAMS: Final = 5
EXAMPLES: Final = 25
ARGUMENTS: Final = 90
"""Where the programs' arguments stand in memory."""
MASKS: Final = {CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, *(cpumask_of(cpu) for cpu in range(CPUS))}
"""Words that the virtual machine has from the start, and the rig has not."""
ALONE: Final = [
    text for text in writer.OTHER_OPERATIONS
    if not text.startswith(("kzalloc", "alloc_percpu", "kfree", "free_percpu", "warn_on", "call_rcu", "queue_work",
                            "synchronize_rcu", "rcu_barrier", "rcu_read", "preempt", "local_irq"))
]  # fmt: skip
"""Operations that ask nothing of a machine: the rig hands out memory elsewhere, and has no callbacks."""
INTERESTING: Final = [LONG_MIN, LONG_MIN + 1, -33, -1, 0, 1, 2, 33, 63, 64, 1 << 31, 1 << 32, LONG_MAX - 1, LONG_MAX]
FAULTS: Final = {"ZeroDivisionError", "ValueError"}
BEFORE: Final = {("memory", 100): 5, ("memory", 101): -7, ("percpu", UNIT_WORDS + 41): LONG_MAX}
ENTRY: Final = """
def from_memory_{number}():
    a = yield read_once({a})
    b = yield read_once({b})
    c = yield read_once({c})
    return (yield from p{number}({parameters}))
"""


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(before=dict(BEFORE))
    yield rig
    rig.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, module_of: Callable[[str], ModuleType]) -> Callable[[int], ModuleType]:
    """Modules of random programs, with entries that take their arguments from memory."""
    monkeypatch.setattr(writer, "OTHER_OPERATIONS", ALONE)

    def make(seed: int) -> ModuleType:
        made = writer.Writer(random.Random(seed))
        for _ in range(PROGRAMS):
            made.program()
        entries = [
            ENTRY.format(
                number=number, a=ARGUMENTS, b=ARGUMENTS + 1, c=ARGUMENTS + 2, parameters=", ".join("abc"[:parameters])
            )
            for number, (parameters, _) in enumerate(made.costs.values())
        ]
        return module_of("\n".join([made.text(), *entries]))

    return make


@dataclass
class Virtual:
    """A program in the virtual engine, for one CPU of several."""

    program: ProgramFunction
    arguments: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        spec = ContextSpec("alone", self.program, "task", 1, self.arguments)
        self.model = Model(Setting(CPUS, (spec,), nodes=2), limits=Limits(words=256))
        self.model.vm[layout.KERNEL_FIRST], self.model.vm[layout.KERNEL_END] = 1, FIRST_OBJECT  # as the rig has it

    def outcome(self, before: dict[int, int]) -> tuple[int | str, dict[int, int]]:
        """What the program gives, or "fault", and the words in the end; `before`: those at the start."""
        model, run = self.model, compiled()
        state = np.zeros(model.buffer_words, dtype=np.int64)
        state[: model.size] = model.initial
        for address, value in before.items():
            state[model.vm[layout.FIRST_WORD] + run.make_word(model.vm, address)] = value
        result: int | str = ""
        while result == "" and not run.blocked(model.vm, state, 0):
            violated = run.step(model.vm, state, 0)
            assert violated in (outcomes.DONE, outcomes.FAULT), LABELS[violated]
            result = "fault" if violated else ""
        words = {address: value for address, value in model.words(state).items() if address not in MASKS}
        return (result or model.results(state)[0]), words


def in_reference(rig: Rig, program: ProgramFunction, *arguments: int) -> tuple[int | str, dict[int, int]]:
    """The same of the reference engine."""
    rig.reset()
    result: int | str
    try:
        result = rig.reference(program, *arguments)
    except Exception as error:  # which one it may be, the comparison says
        result = "fault" if type(error).__name__ in FAULTS else type(error).__name__
    return result, {_address(*at): value for at, value in rig.words().items() if at[0] in ("memory", "percpu")}


def _address(segment: str, index: int) -> int:
    return index if segment == "memory" else unit_word(index // UNIT_WORDS, index % UNIT_WORDS)


def some_words(chance: random.Random) -> tuple[int, int, int]:
    a, b, c = (
        chance.choice(INTERESTING) if chance.random() < 0.5 else chance.randint(LONG_MIN, LONG_MAX) for _ in range(3)
    )
    return a, b, c


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(MODULES))
def test_random_programs_do_the_same_in_the_virtual_engine(
    rig: Rig, written: Callable[[int], ModuleType], seed: int
) -> None:
    module: Any = written(seed)
    chance = random.Random(seed)
    for number in range(PROGRAMS):
        program = getattr(module, f"from_memory_{number}")
        engine = _compiled(program)
        for _ in range(EXAMPLES if engine else 0):
            arguments = some_words(chance)
            rig.before = BEFORE | {("memory", ARGUMENTS + n): argument for n, argument in enumerate(arguments)}
            before = {_address(*at): value for at, value in rig.before.items()}
            assert engine is not None
            assert engine.outcome(before) == in_reference(rig, program), (number, arguments)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(MODULES))
def test_random_programs_with_known_arguments_do_the_same(
    rig: Rig, written: Callable[[int], ModuleType], seed: int
) -> None:
    """Known numbers are computed with when a program is compiled."""
    module: Any = written(seed)
    chance = random.Random(seed)
    before = {_address(*at): value for at, value in BEFORE.items()}
    for number in range(PROGRAMS):
        program = getattr(module, f"p{number}")
        arguments = some_words(chance)[: program.__code__.co_argcount]
        engine = _compiled(program, *arguments)
        if engine is not None:
            assert engine.outcome(before) == in_reference(rig, program, *arguments), (number, arguments)


def _compiled(program: ProgramFunction, *arguments: int) -> Virtual | None:
    try:
        return Virtual(program, arguments)
    except Refused as refused:
        if "values at once" in str(refused):  # random programs may need more registers than there are
            return None
        raise
