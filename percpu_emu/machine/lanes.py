"""Lanes: the contexts of a setting, each on a process, at hardware speed and at the same time, round after round.

A lane is the process of one CPU, which runs that CPU's tasks one after another, or a process of one of the
coordinator's tasks, which has no per-CPU copy. Between two rounds the lanes sleep; at the beginning of one they wait
for each other, awake, and are then let off with a delay each that the caller draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Self

import numpy as np

from percpu_emu.kernel.layout import BOOT, CPU_POSSIBLE_MASK, MASK_WORDS, STATIC, STATIC_WORDS
from percpu_emu.kernel.profile import KernelProfile
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang import context as c
from percpu_emu.lang.cache import load_compiled
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import Program, ProgramFunction, cpu_relax
from percpu_emu.lang.primitives import ProgramFault
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, ContextSpec, Setting
from percpu_emu.machine.cpu import Ending
from percpu_emu.machine.events import EventStream
from percpu_emu.machine.faults import parse_fault
from percpu_emu.machine.machine import Machine, MachineConfig
from percpu_emu.machine.memory import PAGE_WORDS, Topology
from percpu_emu.machine.recording import CALLBACK, Recorded, Rings
from percpu_emu.machine.signals import signals
from percpu_emu.percpu import BadFree, PerCpuExhausted
from percpu_emu.shm import WORD_SIZE

GO: Final = 0  # number of the round that is on; -1 to end
ARRIVED: Final = 8  # lanes that have arrived at the start, all rounds together
LANE: Final = 16  # for each lane on a line of its own: the last round it has done, and its delay
MAX_REGIONS: Final = 64
"""Areas, and objects, that a round may allocate."""
DISTURBANCES: Final = ("all=delay:1us@6%", "all=yield@1.5%")
"""What holds operations up, so that races have more room."""
LOOK_ROUND: Final = 200
"""Looks for the others at the start between two times of letting another process have the processor."""

_HELPERS: Final = f"""\
from percpu_emu.lang import context as c
from percpu_emu.shm import atomics, syscalls


@njit
def await_round(ctx, control, seen):
    now = atomics.load_acquire(control)
    while now == seen:
        if atomics.read_once(ctx.header + c.STOP * 8) != 0:
            return -1
        now = syscalls.futex_wait(control, seen, 50000)
    return atomics.load_acquire(control)


@njit
def meet(control, lanes, number, turn):
    arrived = control + {ARRIVED * 8}
    atomics.fetch_add(arrived, 1)
    looks = 0
    while atomics.load_acquire(arrived) < lanes * turn and atomics.read_once(control) == turn:
        looks += 1
        if looks % {LOOK_ROUND} == 0:
            syscalls.sched_yield()
    for _ in range(atomics.read_once(control + ({LANE} + number * 8 + 1) * 8)):
        atomics.read_once(control)
    return 0


@njit
def now_running(ctx, number):
    ring = atomics.read_once(ctx.block + c.RECORD * 8)
    if ring != 0:
        atomics.write_once(ring + c.RECORD_CONTEXT * 8, number)
    return 0


@njit
def coordinators(bases):
    ledger = atomics.read_once(bases[3] + c.COORDINATORS_LEDGER * 8)
    return Context(bases[0], bases[1], bases[2], bases[3], ledger, bases[5])


@njit(WORD(BASES, WORD, WORD, WORD), cache=True)
def clear(bases, cpus, start, words):
    \"\"\"So many words of every CPU's copy.\"\"\"
    ctx = context(bases)
    for cpu in range(cpus):
        for word in range(words):
            ops.write_once(ctx, ops.per_cpu(ctx, start + word, cpu), 0)
    return 0
"""
_RUN: Final = """\
@njit(WORD({types}), cache=True)
def run_{name}({parameters}):
    return {name}({arguments})
"""
_CONTEXT: Final = """\
        if which == {index}:
            now_running(ctx, {number})
            for turn in range({turns}):
                {name}({arguments})
                ops.quiescent_state(ctx)
"""
_LANE: Final = """\
@njit
def lane{number}x(ctx, turns):
    for i in range({count}):
        which = (turns + i) % {count}
{contexts}    return 0
"""
_LOOP: Final = """\
@njit(WORD(BASES, WORD, WORD), cache=True)
def lane(bases, number, control):
    ctx = context(bases)
    if number >= {first_without_unit}:
        ctx = Context(bases[0], bases[1], {no_unit}, bases[3], bases[4], bases[5])
    turn = 0
    while True:
        ops.idle_enter(ctx)
        turn = await_round(ctx, control, turn)
        ops.idle_exit(ctx)
        if turn < 0:
            return 0
        meet(control, {lanes}, number, turn)
{dispatch}
        atomics.store_release(control + ({lane} + number * 8) * 8, turn)
        ops.ring_doorbell(ctx)
    return 0
"""


def lane(number: int, control: int) -> Program[None]:  # noqa: ARG001
    """What a lane's process is told to run: it stands for the compiled `lane` of the image's module."""
    yield cpu_relax()


@dataclass(frozen=True)
class Lane:
    """A process and what it runs: contexts by their numbers in the setting."""

    cpu: int | None
    contexts: tuple[int, ...]


def lanes_of(setting: Setting) -> list[Lane]:
    """A lane for every CPU of the machine, in order, then one for each of the coordinator's tasks."""
    numbered = list(enumerate(setting.contexts))
    on_cpus = [Lane(cpu, tuple(n for n, spec in numbered if spec.cpu == cpu)) for cpu in range(setting.cpus)]
    return on_cpus + [Lane(None, (n,)) for n, spec in numbered if spec.cpu is None]


class LaneImage(Image):
    """The programs of a setting in one compiled module. Where a process has no ring, an operation is not recorded."""

    def __init__(self, setting: Setting, total: ProgramFunction | None) -> None:
        self.setting = setting
        self.lanes = lanes_of(setting)
        self.working = [number for number, at in enumerate(self.lanes) if at.contexts]
        """Lanes that have something to do; the others stay idle."""
        self._alone = [program for program in (setting.setup, total) if program is not None]
        super().__init__([], numbered=[lane], constants=setting.constants, instrumented=True)
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
        return [function for function in self._numbered if function is not lane]

    @property
    def module(self) -> ModuleType:
        """The compiled module."""
        return load_compiled(self._whole)

    def compiled(self, function: ProgramFunction) -> Callable[..., int] | None:
        """`compiled(bases, *arguments)` for a lane, the setup, the check and for callbacks."""
        entry: Callable[..., int] | None = getattr(self.module, self._runs.get(function, ""), None)
        return entry

    def _behind(self, name_of: Callable[[ProgramFunction], str]) -> str:
        texts = [_HELPERS]
        for program in dict.fromkeys([*self._alone, *self.callbacks]):
            words = [f"word{number}" for number in range(program.__code__.co_argcount)]
            self._runs[program] = f"run_{name_of(program)}"
            texts.append(
                _RUN.format(
                    types=", ".join(["BASES", *["WORD"] * len(words)]),
                    name=name_of(program),
                    parameters=", ".join(["bases", *words]),
                    arguments=", ".join(["coordinators(bases)", *words]),
                )
            )
        self._runs[lane] = "lane"
        texts += [self._lane(number, name_of) for number in self.working]
        dispatch = [f"        if number == {number}:\n            lane{number}x(ctx, turn)" for number in self.working]
        texts.append(
            _LOOP.format(
                first_without_unit=self.setting.cpus,
                no_unit=c.NO_UNIT,
                lanes=len(self.working),
                lane=LANE,
                dispatch="\n".join(dispatch),
            )
        )
        return "\n\n".join(texts)

    def _lane(self, number: int, name_of: Callable[[ProgramFunction], str]) -> str:
        contexts = [
            _CONTEXT.format(index=index, number=which, turns=spec.turns, name=name_of(spec.program), arguments=given)
            for index, which in enumerate(self.lanes[number].contexts)
            for spec in [self.setting.contexts[which]]
            for given in [", ".join(["ctx", *_arguments(spec)])]
        ]
        return _LANE.format(number=number, count=len(contexts), contexts="".join(contexts))


def _arguments(spec: ContextSpec) -> list[str]:
    return [str(spec.cpu) if argument == "cpu" else str(argument) for argument in spec.arguments]


class _Regions:
    """Regions handed out by the rule of `lang.setting`: the k-th of a round at `first + OBJECT_WORDS * k`, none twice.

    It stands for the per-CPU allocator or for the slabs: what programs know of their addresses holds natively, too.
    """

    balance_pending = False
    """What the machine asks of a per-CPU allocator."""

    def __init__(self, what: str, first: int, limit: int, clear: Callable[[int], None]) -> None:
        self._what = what
        self._first = first
        self._limit = limit
        self._clear = clear
        self._count = 0
        self._dirty: set[int] = set()
        self.live: set[int] = set()
        self.exhausted = False

    def alloc(self, size: int, align: int = WORD_SIZE) -> int:  # noqa: ARG002 - a page is aligned to everything
        """The next region, zeroed; its offset in bytes."""
        if size > OBJECT_WORDS * WORD_SIZE or self._count == self._limit:
            self.exhausted = True
            raise PerCpuExhausted(f"{self._what}: more than {self._limit} a round, or one of {size} bytes")
        word = self._first + OBJECT_WORDS * self._count
        if word in self._dirty:
            self._clear(word)
        self._dirty.add(word)
        self._count += 1
        self.live.add(word)
        return word * WORD_SIZE

    def free(self, offset: int) -> None:
        """Take one back. Raises BadFree."""
        if offset // WORD_SIZE not in self.live:
            raise BadFree(f"{self._what} {offset // WORD_SIZE:#x} is freed, and is not allocated")
        self.live.remove(offset // WORD_SIZE)

    @property
    def used(self) -> range:
        """Where the regions of this round begin, those that were freed included."""
        return range(self._first, self._first + OBJECT_WORDS * self._count, OBJECT_WORDS)

    kmalloc = alloc
    kfree = free

    def begin(self) -> None:
        """Hand out from the first one again."""
        self._count = 0
        self.live.clear()


class RoundFailed(Exception):
    """A round did not come to its end: by which check of the model it is to blame, "" if by none, and what happened."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(detail)
        self.check = check
        self.detail = detail


@dataclass
class Lanes:
    """Lanes on a machine of their own; a context manager. A round is `begin`, `run`, any checks, `end`."""

    image: LaneImage
    profile: KernelProfile
    nodes: int
    events: EventStream
    patience: float = 10.0
    """Seconds after which a round is given up."""
    rounds: int = 0
    _refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        spread = Topology.spread(self.image.setting.cpus, self.nodes).cpus_per_node
        more = len(self.image.lanes) + 1 - self.image.setting.cpus  # one whose ledger is the coordinator's
        topology = Topology((*spread[:-1], spread[-1] + more))  # those of the coordinator are CPUs that no mask shows
        self._rings = Rings(len(self.image.lanes) + 1)
        config = MachineConfig(
            topology,
            self.profile,
            PROTOCOLS["patched"],
            stall_seconds=self.patience,
            image=self.image,
            faults=[parse_fault(line) for line in DISTURBANCES],
        )
        try:
            self.machine = Machine(config, self.events)
        except BaseException:
            self._rings.close()
            raise
        memory: Any = self.machine.memory
        self._bases = memory.context(memory.coordinator).bases()
        areas = min(memory.layout.unit_pages - 1, MAX_REGIONS)
        self._percpu = memory.percpu = _Regions("per-CPU area", OBJECT_WORDS, areas, self._clear_area)
        self._slab = memory.slab = _Regions("object", FIRST_OBJECT, MAX_REGIONS, self._clear_object)
        self._ledgers: dict[int, list[Any]] = {}
        self._commands: dict[int, int] = {}
        self._noted: set[int] = set()

    def __enter__(self) -> Self:
        cpus, memory, lanes = self.image.setting.cpus, self.machine.memory, self.image.lanes
        try:
            self.machine.__enter__()
        except BaseException:
            self._rings.close()
            raise
        self._rings.set_context(len(lanes), CALLBACK)
        memory.blocks[memory.coordinator, c.COORDINATORS_LEDGER] = memory.context(len(lanes)).ledger
        memory.set_online(range(cpus))
        memory.blocks[cpus:, c.UNIT] = c.NO_UNIT
        memory.header[c.NR_CPU_IDS] = cpus
        memory.words[CPU_POSSIBLE_MASK : CPU_POSSIBLE_MASK + MASK_WORDS] = 0
        memory.words[CPU_POSSIBLE_MASK] = (1 << cpus) - 1
        self._boot = memory.words[BOOT : STATIC + STATIC_WORDS].copy()
        self.events.listen(self._hear)
        for number in self.image.working:
            self._commands[number] = self.machine.cpus.run(number, lane, number, self._rings.word(0))
        return self

    def __exit__(self, *_: object) -> None:
        self.events.ignore(self._hear)
        try:
            signals().publish(self._rings.word(GO), -1)
            self.machine.close()
        finally:
            self._rings.close()

    # --- a round

    def begin(self, seed: int, delays: Sequence[int]) -> None:
        """Run the setup. `delays`: for each working lane, how long it is held up at the start."""
        self.rounds += 1
        self._rings.clear()
        memory = self.machine.memory
        for number in range(memory.contexts):
            memory.blocks[number, c.CHANCE] = seed + number * 7919
        for number, delay in zip(self.image.working, delays, strict=True):
            self._rings.words[LANE + number * 8 + 1] = delay
        setup = self.image.setting.setup
        if setup is not None:
            self.machine.execute(setup)
            self.machine.settle()

    def run(self, *, record: bool) -> None:
        """Have all lanes run their contexts, and let everything settle. Raises RoundFailed.

        What is recorded is also held up by chance, and now and then the processor given away (DISTURBANCES).
        """
        memory = self.machine.memory
        for number in [*self.image.working, memory.coordinator]:
            ring = min(number, len(self.image.lanes))  # the last one is the coordinator's
            memory.blocks[number, c.RECORD] = self._rings.address(ring) if record else 0
            memory.blocks[number, c.FAULTS] = self.machine.faults.address if record else 0
        deadline = time.monotonic() + self.patience
        signals().publish(self._rings.word(GO), self.rounds)
        try:
            self.machine.wait_for(lambda: self._is_over(deadline))
            self.machine.settle()
        except (ValueError, ProgramFault) as error:
            raise RoundFailed("double-free", f"a callback asked for what was refused: {error}") from error
        memory.blocks[memory.coordinator, c.RECORD] = 0

    def end(self) -> None:
        """Make everything as it was before the setup."""
        memory = self.machine.memory
        for page in self._pages():
            for ledger in self._ledgers[page]:
                ledger[:] = 0
        self._percpu.begin()
        self._slab.begin()
        memory.words[BOOT : STATIC + STATIC_WORDS] = self._boot
        self._clear_area(0)

    # --- what it came to

    def ledgers(self) -> dict[int, int]:
        """What is entered in the ledgers: counter -> what was added. Freed counters are left out."""
        memory = self.machine.memory
        notes = memory.blocks[[*self.image.working, memory.coordinator], c.NOTES : c.NOTES + 2 * c.MAX_NOTES : 2]
        self._noted.update(notes.ravel().tolist())  # for those that come to 0 in all
        found: dict[int, int] = {}
        for page in {STATIC // PAGE_WORDS, *(word // PAGE_WORDS for word in self._slab.live)} & self._pages():
            added = np.sum(self._ledgers[page], axis=0)
            noted = {counter % PAGE_WORDS for counter in self._noted if counter and counter // PAGE_WORDS == page}
            found |= {page * PAGE_WORDS + word: int(added[word]) for word in noted | set(added.nonzero()[0].tolist())}
        return found

    @property
    def exhausted(self) -> bool:
        """Whether a program has asked for more memory than there is."""
        return self._percpu.exhausted or self._slab.exhausted

    @property
    def left(self) -> int:
        """Per-CPU areas and objects that are allocated."""
        return len(self._percpu.live) + len(self._slab.live)

    def warnings(self) -> list[str]:
        """The `warn_on`s that have fired."""
        blocks = self.machine.memory.blocks
        return [str(self.image.warnings[int(block[c.WARN_SITE])]) for block in blocks[blocks[:, c.WARNINGS] > 0]]

    def marks(self) -> dict[str, int]:
        """How often each mark was reached, all rounds together."""
        counts = self.machine.memory.blocks[:, c.MARKS : c.MARKS + c.MAX_MARKS].sum(axis=0)
        return {name: int(counts[number]) for number, name in enumerate(self.image.marks)}

    def recorded(self) -> tuple[list[Recorded], bool]:
        """What was recorded of this round, and whether that is all of it."""
        return self._rings.merged(self.image.sites)

    # --- inside

    def _pages(self) -> set[int]:
        """Pages of the kernel's memory that may hold counters."""
        pages = {STATIC // PAGE_WORDS, *(word // PAGE_WORDS for word in self._slab.used)}
        memory = self.machine.memory
        for page in pages - self._ledgers.keys():
            self._ledgers[page] = [memory.ledger_page(number, page) for number in range(len(self.image.lanes) + 1)]
        return pages

    def _clear_area(self, pointer: int) -> None:
        self.image.module.clear(self._bases, self.image.setting.cpus, pointer, OBJECT_WORDS)

    def _clear_object(self, pointer: int) -> None:
        self.machine.memory.words[pointer : pointer + OBJECT_WORDS] = 0

    def _is_over(self, deadline: float) -> bool:
        done = self._rings.words[LANE::8]
        if all(done[number] == self.rounds for number in self._commands):
            return True
        online = self.machine.cpus.online
        for number, command in self._commands.items():
            if number not in online:
                raise RoundFailed("wild-access", f"the process of {self._name(number)} was killed by an access")
            if self.machine.cpus.done(number, command):
                refused = self.machine.memory.blocks[number, c.RESULT + 1] == Ending.REFUSED
                why = "; ".join(self._refusals) or "a program failed"
                raise RoundFailed("double-free" if refused and self._refusals else "fault", why)
        if time.monotonic() > deadline:
            waiting = [self._name(number) for number in self._commands if done[number] != self.rounds]
            raise RoundFailed("", f"a round was not over after {self.patience:g} s: {', '.join(waiting)} still ran")
        return False

    def _name(self, number: int) -> str:
        contexts = self.image.setting.contexts
        return ", ".join(contexts[which].name for which in self.image.lanes[number].contexts)

    def _hear(self, event: Any) -> None:
        if event.kind == "refused":
            self._refusals.append(str(event.fields["reason"]))
