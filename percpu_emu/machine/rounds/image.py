"""The programs of a setting in one compiled module, with a loop for each process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang import context as c
from percpu_emu.lang.checks import Check
from percpu_emu.lang.image import Image
from percpu_emu.lang.modules import load_compiled
from percpu_emu.lang.ops import Program, ProgramFunction, cpu_relax
from percpu_emu.lang.setting import ContextSpec, Setting

GO: Final = 0  # number of the round that is on; -1 to end
ARRIVED: Final = 8  # processes that have arrived at the start, all rounds together
LATE: Final = 9  # number of the round whose interrupts are to come now, where they have not come yet
PROCESS: Final = 16  # for each process on a line of its own: the last round it has done, its delay, its CPU or -1
TOKENS: Final = 640  # for each CPU on a line of its own: see `lang.tokens`
RESULTS: Final = 784  # what the last turn of each context gave
LOOK_ROUND: Final = 200
"""Looks for the others at the start between two times of letting another process have the processor."""
_RAN: Final = c.DONE
"""In the control block of a CPU's interrupts: for each of its interrupt contexts, the last round in which it ran."""
MAX_INTERRUPTS: Final = 8

_HELPERS: Final = f"""\
from percpu_emu.lang import context as c
from percpu_emu.lang import sections, tokens
from percpu_emu.shm import atomics, syscalls


@inner
def await_round(ctx, control, seen):
    now = atomics.load_acquire(control)
    while now == seen:
        if atomics.read_once(ctx.header + c.STOP * 8) != 0:
            return -1
        if seen > 0 and atomics.read_once(control + {LATE * 8}) == seen:
            interrupt(ctx)
        now = syscalls.futex_wait(control, seen, 10000)
    return atomics.load_acquire(control)


@inner
def interrupt(ctx):
    if atomics.read_once(ctx.block + c.IRQ_HANDLER * 8) != 0 and tokens.take(ctx, ops.smp_processor_id(ctx)) != 0:
        ops.arrived(ctx.block)
        tokens.drop(ctx, ops.smp_processor_id(ctx))
    return 0


@inner
def meet(control, processes, number, round_number):
    arrived = control + {ARRIVED * 8}
    atomics.fetch_add(arrived, 1)
    looks = 0
    while atomics.load_acquire(arrived) < processes * round_number and atomics.read_once(control) == round_number:
        looks += 1
        if looks % {LOOK_ROUND} == 0:
            syscalls.sched_yield()
    for _ in range(atomics.read_once(control + ({PROCESS} + number * 8 + 1) * 8)):
        atomics.read_once(control)
    return 0


@inner
def now_running(ctx, number, moves):
    ring = atomics.read_once(ctx.block + c.RECORD * 8)
    if ring != 0:
        atomics.write_once(ring + c.RECORD_CONTEXT * 8, number)
    atomics.write_once(ctx.block + c.MOVES * 8, moves)
    sections.turn_begins(ctx)
    tokens.note_turn(ctx)
    return 0


@inner
def at_home(ctx, cpu):
    unit = {c.NO_UNIT}
    if cpu >= 0:
        atomics.write_once(ctx.block + c.CPU * 8, cpu)
        unit = ctx.percpu + atomics.read_once(ctx.header + (c.UNIT_OFFSETS + cpu) * 8) * 8
    atomics.write_once(ctx.block + c.UNIT * 8, unit)
    return Context(ctx.memory, ctx.percpu, unit, ctx.block, ctx.ledger, ctx.header)


@inner
def end_turn(ctx, control, number, result):
    sections.turn_ends(ctx)
    atomics.write_once(control + ({RESULTS} + number) * 8, result)
    return ops.quiescent_state(ctx)


@inner
def take_down(ctx, cpu):
    if tokens.take_down(ctx, cpu) == 0:
        return 0
    ops.atomic_long_add(ctx, {CPU_ONLINE_MASK} + cpu // 64, ops.neg(1 << (cpu % 64)))
    return 1


@inner
def comes_now(block, place):
    ran = ops.interrupt_block(block) + ({_RAN} + place) * 8
    round_number = atomics.read_once(atomics.read_once(block + c.IRQ_TABLE * 8))
    if atomics.read_once(ran) == round_number:
        return 0
    atomics.write_once(ran, round_number)
    return 1


@inner
def coordinators(bases):
    ledger = atomics.read_once(bases[3] + c.COORDINATORS_LEDGER * 8)
    return Context(bases[0], bases[1], bases[2], bases[3], ledger, bases[5])


@entry_point(WORD(BASES, WORD, WORD, WORD))
def clear(bases, cpus, start, words):
    \"\"\"So many words of every CPU's copy.\"\"\"
    ctx = context(bases)
    for cpu in range(cpus):
        for word in range(words):
            ops.write_once(ctx, ops.per_cpu(ctx, start + word, cpu), 0)
    return 0
"""
_RUN: Final = """\
@entry_point(WORD({types}))
def run_{name}({parameters}):
    return {name}({arguments})
"""
_TASK: Final = """\
    now_running(ctx, {number}, {moves})
    for turn in range({turns}):
        if tokens.begin_turn(ctx) == 0:
            break
        end_turn(ctx, control, {number}, {name}({arguments}))
        tokens.end_turn(ctx)
"""
_OF_THE_COORDINATOR: Final = """\
    now_running(ctx, {number}, 0)
    for turn in range({turns}):
        end_turn(ctx, control, {number}, {name}({arguments}))
"""
_OFFLINE: Final = """\
    now_running(ctx, {number}, 0)
    if take_down(ctx, {cpu}) != 0:
        turn = 0
        end_turn(ctx, control, {number}, {name}({arguments}))
"""
_ONLY_INTERRUPTED: Final = """\
    interrupt(ctx)
"""
_PROCESS: Final = """\
@inner
def process{number}x(ctx, control):
{context}    return 0
"""
_INTERRUPT: Final = """\
        if cpu == {cpu} and comes_now(block, {place}) != 0:
            now_running(ctx, {number}, 0)
            turn = 0
            try:
                end_turn(ctx, control, {number}, {name}({arguments}))
            except Exception:
                sections.breaks(ctx, {fault})
"""
"""An exception does not get out of a C function."""
_HANDLER: Final = """\
@callback(WORD(WORD, WORD, WORD, WORD))
def handler(block, _code, _a, _b):
    ctx = ops.context_of(ops.interrupt_block(block))
    was_idle = ops.irq_enter(ctx, block)
    cpu = ops.smp_processor_id(ctx)
    control = atomics.read_once(block + c.IRQ_TABLE * 8)
    if cpu >= 0:
{interrupts}
    return ops.irq_exit(block, was_idle)
"""
_LOOP: Final = """\
@entry_point(WORD(BASES, WORD, WORD))
def process(bases, number, control):
    cpu = atomics.read_once(control + ({process} + number * 8 + 2) * 8)
    ctx = at_home(context(bases), cpu)
    round_number = 0
    while True:
        ops.idle_enter(ctx)
        round_number = await_round(ctx, control, round_number)
        if round_number < 0:
            return 0
        at_home(ctx, cpu)
        meet(control, {processes}, number, round_number)
        ops.idle_exit(ctx)
{dispatch}
        atomics.store_release(control + ({process} + number * 8) * 8, round_number)
        ops.ring_doorbell(ctx)
    return 0
"""


def process(number: int, control: int) -> Program[None]:  # noqa: ARG001
    """What a process of a round runs: it stands for the compiled `process` of the image's module."""
    yield cpu_relax()


@dataclass(frozen=True)
class RoundProcess:
    """A process and what it runs: one context, by its number in the setting, or none."""

    cpu: int | None
    contexts: tuple[int, ...]
    interrupts: tuple[int, ...] = ()
    """What may interrupt it."""


def processes_of(setting: Setting) -> list[RoundProcess]:
    """A process for every CPU of the machine, in order, then one for each further task, and for the coordinator's."""
    numbered = list(enumerate(setting.contexts))

    def on(cpu: int, kind: str) -> tuple[int, ...]:
        return tuple(number for number, spec in numbered if spec.home == cpu and spec.kind == kind)

    cpus = range(setting.cpus)
    first = [RoundProcess(cpu, on(cpu, "task")[:1], on(cpu, "interrupt")) for cpu in cpus]
    further = [RoundProcess(cpu, (number,), on(cpu, "interrupt")) for cpu in cpus for number in on(cpu, "task")[1:]]
    return [*first, *further, *(RoundProcess(None, (number,)) for number, spec in numbered if spec.home is None)]


class RoundImage(Image):
    """The programs of a setting in one compiled module. Where a process has no ring, an operation is not recorded."""

    def __init__(
        self, setting: Setting, total: ProgramFunction | None, observed: Sequence[ProgramFunction] = ()
    ) -> None:
        self.setting = setting
        self.processes = processes_of(setting)
        self.working = [number for number, at in enumerate(self.processes) if at.contexts or at.interrupts]
        """Rounds that have something to do; the others stay idle."""
        self.interrupted = [cpu for cpu in range(setting.cpus) if self.processes[cpu].interrupts]
        """CPUs that may be interrupted."""
        self._alone = [program for program in (setting.setup, total, *observed) if program is not None]
        super().__init__([], numbered=[process], constants=setting.constants, instrumented=True)
        programs = dict.fromkeys([*self._alone, *(spec.program for spec in setting.contexts)])
        self._runs: dict[ProgramFunction, str] = {}
        self._whole = self.together(programs, self._behind)

    @property
    def texts(self) -> list[str]:
        """Everything that numba compiles."""
        return [self._whole]

    @property
    def callbacks(self) -> list[ProgramFunction]:
        """What is queued by any of the programs, callbacks of callbacks included."""
        return [function for function in self._numbered if function is not process]

    @property
    def module(self) -> Any:
        """The compiled module."""
        return load_compiled(self._whole)

    def compiled(self, function: ProgramFunction) -> Callable[..., int] | None:
        """`compiled(bases, *arguments)` for a process, the setup, the check and for callbacks."""
        entry: Callable[..., int] | None = getattr(self.module, self._runs.get(function, ""), None)
        return entry

    def _behind(self, name_of: Callable[[ProgramFunction], str]) -> str:
        texts = [_HELPERS, *(self._run(program, name_of) for program in dict.fromkeys([*self._alone, *self.callbacks]))]
        self._runs[process] = "process"
        texts += [self._lane(number, name_of) for number in self.working]
        if self.interrupted:
            texts.append(_HANDLER.format(interrupts="".join(self._interrupts(name_of))))
        dispatch = [f"        if number == {n}:\n            process{n}x(ctx, control)" for n in self.working]
        texts.append(
            _LOOP.format(
                processes=len(self.working),
                process=PROCESS,
                dispatch="\n".join(dispatch),
            )
        )
        return "\n\n".join(texts)

    def _run(self, program: ProgramFunction, name_of: Callable[[ProgramFunction], str]) -> str:
        words = [f"word{number}" for number in range(program.__code__.co_argcount)]
        self._runs[program] = f"run_{name_of(program)}"
        return _RUN.format(
            types=", ".join(["BASES", *["WORD"] * len(words)]),
            name=name_of(program),
            parameters=", ".join(["bases", *words]),
            arguments=", ".join(["coordinators(bases)", *words]),
        )

    def _lane(self, number: int, name_of: Callable[[ProgramFunction], str]) -> str:
        if not self.processes[number].contexts:
            return _PROCESS.format(number=number, context=_ONLY_INTERRUPTED)
        [which] = self.processes[number].contexts
        spec = self.setting.contexts[which]
        form = _OFFLINE if spec.kind == "offline" else _TASK if spec.cpu is not None else _OF_THE_COORDINATOR
        fields = {"number": which, "moves": spec.migrates, "turns": spec.turns, "cpu": spec.cpu}
        context = form.format(name=name_of(spec.program), arguments=_arguments(spec), **fields)
        return _PROCESS.format(number=number, context=context)

    def _interrupts(self, name_of: Callable[[ProgramFunction], str]) -> Iterator[str]:
        for cpu in self.interrupted:
            for place, which in enumerate(self.processes[cpu].interrupts):
                spec = self.setting.contexts[which]
                name, arguments = name_of(spec.program), _arguments(spec)
                fields = {"number": which, "name": name, "arguments": arguments, "fault": int(Check.FAULT)}
                yield _INTERRUPT.format(cpu=cpu, place=place, **fields)


def _arguments(spec: ContextSpec) -> str:
    given = [str(spec.cpu) if argument == "cpu" else str(argument) for argument in spec.arguments]
    return ", ".join(["ctx", *given])
