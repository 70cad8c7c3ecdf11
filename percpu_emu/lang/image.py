"""An image: the programs of one machine, compiled, with the numbers its callbacks and marks go by.

Each program that is started from outside becomes the text of one module, together with the programs it calls. What is
compiled is kept (`shm.kept_code`): a first run takes seconds, every later one loads (hundredths of a second), and a new
worker costs nothing but its own compiling.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from percpu_emu.lang.asleep import refuse_sleep_in_section
from percpu_emu.lang.context import MAX_MARKS
from percpu_emu.lang.modules import load_compiled
from percpu_emu.lang.native import Rewriter
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import ProgramSource, Site, called

_RUN = """\
@entry_point(WORD({types}))
def run({parameters}):
    return {name}({arguments})
"""

_LOOP = """\
@entry_point(WORD(BASES, WORD, WORD, WORD, WORD))
def loop(bases, table, command, turn, end):
    ctx = context(bases)
    while turn < end and ops.commanded(ctx) == command:
        memcg = ops.nth_of_table(ctx, table, turn)
        if memcg != 0:
            {name}(ctx, memcg, turn)
        turn += 1
        ops.quiescent_state(ctx)
        if turn % 256 == 0:
            ops.give_way(ctx)
    return turn
"""


_INTERRUPT = """\
@callback(WORD(WORD, WORD, WORD, WORD))
def interrupt(block, _code, _a, _b):
    ctx = ops.context_of(ops.interrupt_block(block))
    was_idle = ops.irq_enter(ctx, block)
    turn = ops.next_turn(ctx)
    memcg = ops.nth_of_table(ctx, ops.interrupt_table(block), turn)
    if memcg != 0:
        try:
            {name}(ctx, memcg, turn)
        except Exception:
            ops.irq_exit(block, was_idle)
            return 1
    return ops.irq_exit(block, was_idle)
"""
"""An exception does not get out of a C function: `machine.cpu` looks for what the program has noted."""


@dataclass
class Image:
    """Programs compiled for the native engine.

    `entries` can be started by a command, `workers` are called turn after turn inside a CPU process, and `interrupts`
    by a Unix signal that comes into it. What these call is found by itself. `numbered` programs, and those that are
    queued as callbacks, get a number; they are compiled only where they are entries too: a callback that runs seldom
    is not worth a second of compiling. All of them are checked, and every callback, mark and warning has its number,
    before anything runs: CPU processes inherit the same numbers.
    """

    entries: Sequence[ProgramFunction]
    workers: Sequence[ProgramFunction] = ()
    numbered: Sequence[ProgramFunction] = ()
    interrupts: Sequence[ProgramFunction] = ()
    marks: list[str] = field(default_factory=list)
    warnings: list[Site] = field(default_factory=list)
    constants: Mapping[str, int] = field(default_factory=dict)
    """Module constants by name, with other values than in their modules (`lang.setting`)."""
    instead: Mapping[ProgramFunction, ProgramFunction] = field(default_factory=dict)
    """Programs that stand in the place of others wherever those are called."""
    instrumented: bool = False
    """Whether every operation is preceded by a `reach` of its site, one of `sites`: for faults, records and traps."""
    sites: list[Site] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """Arithmetic that may have no result: its line, and why; the message of the exception that it then raises."""

    def __post_init__(self) -> None:
        self._numbered: list[ProgramFunction] = []
        self._modules: dict[ProgramFunction, Any] = {}
        self._site_numbers: dict[Site, int] = {}
        for function in [*self.entries, *self.workers, *self.interrupts]:
            self.number(function)
        self._texts = {function: self._text(function) for function in list(self._numbered)}
        for function in self.numbered:
            self.number(function)
        for function in self._numbered:  # which grows meanwhile, by the callbacks of callbacks
            if function not in self._texts:
                self._text(function)

    def number(self, function: ProgramFunction) -> int:
        """The number by which a queue of callbacks, or a command, names a program; counted from 1."""
        if function not in self._numbered:
            self._numbered.append(function)
        return self._numbered.index(function) + 1

    def knows(self, function: ProgramFunction) -> bool:
        """Whether the program has a number."""
        return function in self._numbered

    def program(self, number: int) -> ProgramFunction:
        """The program that goes by a number."""
        return self._numbered[number - 1]

    def text(self, function: ProgramFunction) -> str:
        """What numba compiles for an entry or a worker."""
        return self._texts[function]

    def compiled(self, function: ProgramFunction) -> Callable[..., int] | None:
        """`compiled(bases, *arguments)` for an entry, None for any other program."""
        if function not in self.entries:
            return None
        entry: Callable[..., int] = self._module(function).run
        return entry

    def loop(self, worker: ProgramFunction) -> Callable[..., int]:
        """`loop(bases, table, command, turn, end)`: turns of a worker, to `end` or to the next command."""
        entry: Callable[..., int] = self._module(worker).loop
        return entry

    def interrupt(self, program: ProgramFunction) -> int:
        """The address of the C function that runs an interrupt's program (`context.IRQ_HANDLER`)."""
        address: int = self._module(program).interrupt.address
        return address

    @property
    def texts(self) -> list[str]:
        """Everything that numba compiles."""
        return list(self._texts.values())

    def load(self) -> None:
        """Compile, or load what was compiled before: once, in the coordinator, before CPU processes are forked."""
        for function in self._texts:
            self._module(function)

    def mark_number(self, name: str) -> int:
        """Which of a control block's mark counters is this mark's."""
        if name not in self.marks:
            if len(self.marks) == MAX_MARKS:
                raise ValueError(f"more than {MAX_MARKS} marks in the programs of one machine")
            self.marks.append(name)
        return self.marks.index(name)

    def warning_number(self, site: Site) -> int:
        """By which number a control block names a `warn_on` that fired."""
        if site not in self.warnings:
            self.warnings.append(site)
        return self.warnings.index(site)

    def place_number(self, place: str) -> int:
        """By which number, from 1, a process says which arithmetic had no result."""
        if place not in self.places:
            self.places.append(place)
        return self.places.index(place) + 1

    def site_number(self, site: Site) -> int:
        """By which number an instrumented operation's site goes."""
        if site not in self._site_numbers:
            self._site_numbers[site] = len(self.sites)
            self.sites.append(site)
        return self._site_numbers[site]

    def known_site(self, site: Site) -> int | None:
        """The number of a site, if a program of the image has it."""
        return self._site_numbers.get(site)

    def together(
        self, functions: Iterable[ProgramFunction], more: Callable[[Callable[[ProgramFunction], str]], str]
    ) -> str:
        """The text of one module with several programs, and with what they queue; `more(name_of)` stands behind."""
        unit, names = _Unit(self), dict[ProgramFunction, str]()
        for function in functions:
            names[function] = unit.include(function, ())
        for function in self._numbered:  # which grows meanwhile
            names[function] = unit.include(function, ())
        behind = more(names.__getitem__)
        return "\n\n".join([*unit.texts, behind])

    def _module(self, function: ProgramFunction) -> Any:
        if function not in self._modules:
            self._modules[function] = load_compiled(self._texts[function])
        return self._modules[function]

    def _text(self, function: ProgramFunction) -> str:
        unit = _Unit(self)
        name = unit.include(function, ())
        source = ProgramSource(function)
        if function in [*self.workers, *self.interrupts] and len(source.parameters) != 2:
            source.refuse(source.tree, f"{source.name} is a worker, which takes a memory cgroup and the turn's number")
        if function in self.interrupts:
            _refuse_to_sleep(function)
        if unit.sleeps and not self.instrumented:
            refuse_sleep_in_section(function)
        entry_points = [_run_text(source, name)] if function in self.entries else []
        entry_points += [_LOOP.format(name=name)] if function in self.workers else []
        entry_points += [_INTERRUPT.format(name=name)] if function in self.interrupts else []
        return "\n\n".join([*unit.texts, *entry_points])


def _refuse_to_sleep(function: ProgramFunction) -> None:
    """Refuse an interrupt's program that waits for the coordinator, or for another CPU."""
    for program in called(function):
        source = ProgramSource(program)
        for operation, _, node in source.operations:
            if operation.wait == "sleeps" or operation.asks:
                source.refuse(
                    node, f"{operation.name} sleeps, and {function.__name__} runs in an interrupt, which may not"
                )


def _refuse_what_no_process_can(source: ProgramSource) -> None:
    """Refuse an operation that the CPU processes of a machine do not have."""
    for operation, _, node in source.operations:
        if not operation.native:
            source.refuse(node, f"{operation.name} is not for run: `explore` and `replay` have it")


def _run_text(source: ProgramSource, name: str) -> str:
    parameters = [f"word{number}" for number, _ in enumerate(source.parameters)]
    return _RUN.format(
        types=", ".join(["BASES", *["WORD"] * len(parameters)]),
        parameters=", ".join(["bases", *parameters]),
        name=name,
        arguments=", ".join(["context(bases)", *parameters]),
    )


class _Unit:
    """One module in the making: a program and the programs it calls, callees first."""

    def __init__(self, image: Image) -> None:
        self.texts: list[str] = []
        self.sleeps = False
        """Whether any of the programs may sleep."""
        self._image = image
        self._names: dict[ProgramFunction, str] = {}

    def include(self, function: ProgramFunction, callers: tuple[ProgramFunction, ...]) -> str:
        """Rewrite a program, after what it calls; its name in the module."""
        if function in self._names:
            return self._names[function]
        source = ProgramSource(self._image.instead.get(function, function), self._image.constants)
        source.check_recursion(callers)
        for node in ast.walk(source.tree):
            if isinstance(node, ast.YieldFrom):
                self.include(source.callee(node.value), (*callers, function))
        _refuse_what_no_process_can(source)
        self.sleeps |= any(operation.wait == "sleeps" for operation, _, _ in source.operations)
        self._names[function] = self._names[source.function] = f"{source.name.strip('_')}_{len(self._names)}"
        rewriter = Rewriter(
            source,
            name_of=self._names.__getitem__,
            number_of=self._image.number,
            mark_of=self._image.mark_number,
            site_of=self._image.warning_number,
            place_of=self._image.place_number,
            site_number_of=self._image.site_number if self._image.instrumented else None,
        )
        self.texts.append(f"{rewriter.rewrite()}\n")
        return self._names[function]
