"""The rules of `lang.setting`, done the plain way: every schedule of a small setting, one after the other.

A `Model` drives the programs as generators on a dictionary of words. Generators cannot be copied, so a search comes to
a state again by replaying the choices that led there. Slow, and the measure for the engine that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any, NoReturn, TypeAlias

from percpu_emu.kernel.layout import CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, CPUMASK_OF, MASK_WORDS
from percpu_emu.lang.context import MAX_NOTES
from percpu_emu.lang.ops import Op, PerCpu, ProgramFunction
from percpu_emu.lang.reference import in_words
from percpu_emu.lang.setting import (
    CALLBACKS,
    FIRST_OBJECT,
    MIGRATE,
    OBJECT_WORDS,
    UNIT_SHIFT,
    ContextSpec,
    Setting,
    unit_word,
)
from percpu_emu.lang.words import Long, wrap

WRAPPED = 1 << 31

FinalState: TypeAlias = tuple[frozenset[tuple[int, int]], tuple[int, ...]]


class Violated(Exception):
    """A check failed."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail


class TooMany(Exception):
    """The limit of a search is reached."""


# --- memory


@dataclass
class Region:
    """What an allocation gave: that many words from `base` on."""

    base: int
    words: int
    live: bool = True


class Memory:
    """Words by address, and who may touch them."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.percpu: list[Region] = []
        self.objects: list[Region] = []

    @property
    def live(self) -> int:
        return sum(region.live for region in [*self.percpu, *self.objects])

    def read(self, address: int) -> int:
        self._check(address)
        return self.words.get(address, 0)

    def write(self, address: int, value: int) -> None:
        self._check(address)
        self.words[address] = wrap(value)

    def alloc(self, regions: list[Region], base: int, size: int) -> int:
        words = OBJECT_WORDS if regions is self.percpu else (size + 7) // 8
        regions.append(Region(base + OBJECT_WORDS * len(regions), words))
        return regions[-1].base

    def free(self, regions: list[Region], pointer: int) -> None:
        if pointer == 0:
            return
        region = next((region for region in regions if region.base == pointer), None)
        if region is None:
            raise Violated("wild-free", f"{pointer:#x} was never allocated")
        if not region.live:
            raise Violated("double-free", f"{pointer:#x} was freed before")
        region.live = False
        self._forget(region, percpu=regions is self.percpu)

    def _forget(self, region: Region, *, percpu: bool) -> None:
        """Nobody may read its words again: they are the same in all states."""
        words = range(region.base, region.base + OBJECT_WORDS)
        for address in self.words:
            if (address >> UNIT_SHIFT > 0) == percpu and address & (1 << UNIT_SHIFT) - 1 in words:
                self.words[address] = 0

    def _check(self, address: int) -> None:
        cpu, offset = (address >> UNIT_SHIFT) - 1, address & (1 << UNIT_SHIFT) - 1
        if cpu >= 0:
            if offset >= OBJECT_WORDS:
                self._check_region(self.percpu, offset, offset // OBJECT_WORDS - 1)
        elif offset >= FIRST_OBJECT and address >= 0:
            self._check_region(self.objects, offset, (offset - FIRST_OBJECT) // OBJECT_WORDS)
        elif address <= 0:
            raise Violated("wild-access", f"{address} is no address")

    def _check_region(self, regions: list[Region], word: int, index: int) -> None:
        if index >= len(regions) or word >= regions[index].base + regions[index].words:
            raise Violated("wild-access", f"{word:#x} was never allocated")
        if not regions[index].live:
            raise Violated("use-after-free", f"{word:#x} was freed")


# --- contexts


@dataclass
class Context:
    """A context of the setting, or what a callback slot holds."""

    number: int
    kind: str
    """As in a setting; "callback" or "work" in a slot."""
    cpu: int | None
    program: ProgramFunction
    arguments: tuple[int | str, ...]
    turns: int = 1
    migrates: int = 0
    turn: int = 0
    run: Any = None
    """The generator of this turn."""
    op: Op | None = None
    """What it does next; None: over."""
    sent: list[int] = field(default_factory=list)
    """The results of this turn's operations so far."""
    result: int = 0
    began: bool = False
    """Whether it has taken a step at all."""
    to_go_down: int | None = None
    """The CPU that its next step takes down."""
    rcu: int = 0
    preempt: int = 0
    grace_period: set[int] = field(default_factory=set)
    """Of a callback: the readers that have to stop before it begins."""
    waits: set[int] | None = None
    """Readers, or callbacks for `rcu_barrier`, that it has still to wait for; None: none registered."""
    notes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.op is None

    @property
    def queued(self) -> bool:
        return self.kind in ("callback", "work")

    @property
    def mid_turn(self) -> bool:
        return not self.over and (bool(self.sent) or self.waits is not None)

    @property
    def interrupting(self) -> bool:
        """Whether it runs as an interrupt of its CPU, now or later."""
        return self.kind == "interrupt" or (self.kind == "callback" and self.cpu is not None)

    @property
    def active(self) -> bool:
        """Whether it is an interrupt that has begun and has not ended."""
        return self.interrupting and self.began and not self.over


class Model:
    """A state of a setting, which each `step` changes. Raises `Violated`."""

    def __init__(
        self,
        setting: Setting,
        left: int | None = None,
        total: ProgramFunction | None = None,
        bound: int | None = None,
        *,
        exclusive: bool = False,
    ) -> None:
        self.setting = setting
        self.left = left
        self.total = total
        self.bound = bound
        self.exclusive = exclusive
        self.memory = Memory()
        self.ledger: dict[int, int] = {}
        self.doubts: list[tuple[int, int]] = []
        self.irqs_off: dict[int, int] = {}
        """By CPU (a context without one: by its own number, as -1, -2 ...): the flag."""
        self.irqs_by: dict[int, int] = {}
        """Who turned them off."""
        self.down: set[int] = set()
        self._boot()
        self.slots: list[Context | None] = [None] * CALLBACKS
        self.contexts: list[Context] = []
        if setting.setup is not None:
            self.alone(setting.setup)
        self.contexts = [self._made(number, spec) for number, spec in enumerate(setting.contexts)]

    # --- what can be done

    def enabled(self) -> list[int]:
        steps = [context.number for context in self._all() if self._may_step(context)]
        return steps + [choice for context in self.contexts for choice in self._migrations(context)]

    def finished(self) -> bool:
        return all(context.over or (context.kind == "interrupt" and not context.began) for context in self._all())

    def words(self) -> dict[int, int]:
        return {address: word for address, word in self.memory.words.items() if word}

    def results(self) -> tuple[int, ...]:
        return tuple(context.result for context in self.contexts)

    def final(self) -> FinalState:
        return frozenset(self.words().items()), self.results()

    def key(self) -> tuple[object, ...]:
        """Equal for two states from which the same can follow."""
        return (
            frozenset(self.words().items()),
            tuple((region.words, region.live) for region in [*self.memory.percpu, *self.memory.objects]),
            len(self.memory.percpu),
            tuple(None if context is None else _key(context) for context in [*self.contexts, *self.slots]),
            frozenset((who, flag, self.irqs_by[who]) for who, flag in self.irqs_off.items() if flag),
            frozenset(self.down),
            frozenset(self.ledger.items()),
            tuple(sorted(self.doubts)),
        )

    def _all(self) -> list[Context]:
        return [*self.contexts, *filter(None, self.slots)]

    def _may_step(self, context: Context) -> bool:
        if context.over:
            return False
        if context.to_go_down is not None:
            return context.kind == "kill" or self._quiet(context.to_go_down)
        return self._has_cpu(context) and self._wait_is_over(context)

    def _quiet(self, cpu: int) -> bool:
        """Whether no task is mid-turn on the CPU and no interrupt active."""
        return not any(
            context.active or (context.kind == "task" and context.mid_turn)
            for context in self._all()
            if context.cpu == cpu
        )

    def _has_cpu(self, context: Context) -> bool:
        if context.cpu is None or context.active:
            return True
        others = [other for other in self._all() if other.cpu == context.cpu and other is not context]
        if any(other.active for other in others):
            return False
        if context.interrupting:
            return not self.irqs_off.get(context.cpu, 0)
        return not any(other.kind == "task" and self._pinned(other) for other in others)

    def _pinned(self, context: Context) -> bool:
        """Whether it may be neither preempted nor moved."""
        return context.preempt > 0 or context.rcu > 0 or self._holds_irqs_off(context)

    def _holds_irqs_off(self, context: Context) -> bool:
        who = self._flag_of(context)
        return bool(self.irqs_off.get(who, 0)) and self.irqs_by[who] == context.number

    def _reader(self, context: Context) -> bool:
        return self._pinned(context) or context.active

    def _wait_is_over(self, context: Context) -> bool:
        assert context.op is not None
        if context.grace_period:
            return False
        if context.waits is not None:
            return not context.waits
        if context.op.name == "wait_until":
            return self._is(*context.op.args)
        return True

    def _is(self, pointer: int | PerCpu, value: int) -> bool:
        """Whether the word is that number; or may not be read at all, which the step will tell."""
        try:
            return self.memory.read(self._address(pointer)) == wrap(value)
        except Violated:
            return True

    def _migrations(self, context: Context) -> Iterator[int]:
        if context.kind != "task" or context.migrates == 0 or not context.mid_turn or context.cpu is None:
            return
        if self._pinned(context) or self.irqs_off.get(context.cpu, 0):
            return
        if any(other.cpu == context.cpu and other.active for other in self._all()):
            return
        for cpu in range(self.setting.cpus):
            if cpu != context.cpu and cpu not in self.down:
                yield context.number + MIGRATE * (1 + cpu)

    # --- doing it

    def step(self, choice: int) -> None:
        assert choice in self.enabled(), choice
        number, cpu = choice % MIGRATE, choice // MIGRATE - 1
        context = next(context for context in self._all() if context.number == number)
        if cpu >= 0:
            context.cpu = cpu
            context.migrates -= 1
        elif context.to_go_down is not None:
            self._take_down(context)
        else:
            self._do(context)
        self._settle()
        self._check_bound()

    def _do(self, context: Context) -> None:
        assert context.op is not None
        context.began = True
        if context.waits is None and context.op.name == "synchronize_rcu":
            context.waits = self._readers()
        elif context.waits is None and context.op.name == "rcu_barrier":
            context.waits = {slot.number for slot in self.slots if slot and slot.kind == "callback"}
        else:
            context.waits = None
            result = wrap(self._perform(context, context.op))
            context.sent.append(result)
            self._advance(context, Long(result))

    def _settle(self) -> None:
        """Slots of programs that have ended are free, and nobody waits any more for what is no reader."""
        ended = {slot.number for slot in self.slots if slot and slot.over}
        self.slots = [slot if slot and not slot.over else None for slot in self.slots]
        readers = self._readers()
        for context in self._all():
            context.grace_period &= readers
            if context.waits and context.op and context.op.name == "rcu_barrier":
                context.waits -= ended
            elif context.waits:
                context.waits &= readers

    def _readers(self) -> set[int]:
        return {context.number for context in self._all() if self._reader(context)}

    def _take_down(self, context: Context) -> None:
        cpu = context.to_go_down
        assert cpu is not None
        context.to_go_down = None
        context.began = True
        self.down.add(cpu)
        self.memory.words[CPU_ONLINE_MASK] &= ~(1 << cpu)
        for other in self._all():
            if other.cpu == cpu and other.queued and not other.began:
                other.cpu = None
            elif other.cpu == cpu:
                self._kill(other)
        self.irqs_off[cpu] = 0

    def _kill(self, context: Context) -> None:
        if context.run is not None:
            context.run.close()
        self.doubts += context.notes
        context.op, context.notes, context.sent, context.waits = None, [], [], None
        context.rcu = context.preempt = 0

    def _made(self, number: int, spec: ContextSpec) -> Context:
        own = self.setting.cpus if spec.cpu is None else spec.cpu
        arguments = tuple(own if argument == "cpu" else argument for argument in spec.arguments)
        turns = spec.turns if spec.kind == "task" else 1
        context = Context(number, spec.kind, spec.home, spec.program, arguments, turns, spec.migrates)
        if spec.kind in ("offline", "kill"):
            context.to_go_down = spec.cpu
        self._begin_turn(context)
        return context

    def _begin_turn(self, context: Context) -> None:
        arguments = (context.turn if argument == "turn" else argument for argument in context.arguments)
        words = (Long(int(argument)) for argument in arguments)
        context.run = in_words(context.program, (), self.setting.constants)(*words)
        context.sent = []
        self._advance(context, None)

    def _advance(self, context: Context, result: Long | None) -> None:
        """Let the program compute up to its next operation, or its next turn's first one."""
        try:
            context.op = context.run.send(result)
        except StopIteration as end:
            context.result = wrap(end.value or 0)
            context.turn += 1
            context.op = None
            context.sent = []
            if context.turn < context.turns:
                self._begin_turn(context)
        except (ZeroDivisionError, ValueError) as error:
            raise Violated("fault", str(error)) from error

    def alone(self, program: ProgramFunction, *arguments: int) -> int:
        """The result of a program that the coordinator runs while nobody does anything."""
        context = Context(-1, "task", None, program, arguments)
        self._begin_turn(context)
        while not context.over:
            if not self._wait_is_over(context):
                raise Violated("deadlock", f"{program.__name__} waits for ever")
            self._do(context)
            if context.waits:
                raise Violated("deadlock", f"{program.__name__} waits for ever")
        return context.result

    # --- operations

    def _perform(self, context: Context, op: Op) -> int:
        if "this_cpu_" in op.name:
            return self._this_cpu(context, op.name.lstrip("_"), *op.args)
        return int(_OPERATIONS[op.name](self, context, *op.args) or 0)

    def _this_cpu(self, context: Context, name: str, pointer: int, *values: int) -> int:
        if context.cpu is None:
            raise Violated("off-cpu", f"{name} by what runs on no CPU")
        address = self._address(PerCpu(pointer, context.cpu))
        old = self.memory.read(address)
        new, result = _THIS_CPU[name.removeprefix("this_cpu_")](old, *map(int, values))
        if new is not None:
            self.memory.write(address, new)
        return wrap(result)

    def _address(self, pointer: int | PerCpu) -> int:
        if not isinstance(pointer, PerCpu):
            address = wrap(pointer)
            if address >= 1 << UNIT_SHIFT:
                raise Violated("wild-access", f"{address:#x} is beyond the kernel's memory")
            return address
        if not 0 <= pointer.cpu < self.setting.cpus:
            raise Violated("wild-access", f"there is no CPU {int(pointer.cpu)}")
        if not 0 <= pointer.pointer < 1 << UNIT_SHIFT:
            raise Violated("wild-access", f"{int(pointer.pointer)} is no per-CPU pointer")
        return unit_word(int(pointer.cpu), int(pointer.pointer))

    def read(self, _: Context, pointer: int | PerCpu) -> int:
        return self.memory.read(self._address(pointer))

    def wait_until(self, context: Context, pointer: int | PerCpu, value: int) -> None:
        assert self.read(context, pointer) == wrap(value)

    def write(self, context: Context, pointer: int | PerCpu, value: int) -> None:
        remote = isinstance(pointer, PerCpu) and pointer.cpu not in {context.cpu, *self.down}
        if self.exclusive and remote and self.contexts:  # there are none during the setup
            raise Violated("remote-write", f"{pointer} is written from elsewhere")
        self.memory.write(self._address(pointer), value)

    def fetch_add(self, context: Context, pointer: int | PerCpu, value: int) -> int:
        old = self.read(context, pointer)
        self.write(context, pointer, old + int(value))
        return old

    def add_return(self, context: Context, pointer: int | PerCpu, value: int) -> int:
        return wrap(self.fetch_add(context, pointer, value) + int(value))

    def add(self, context: Context, pointer: int | PerCpu, value: int) -> None:
        self.fetch_add(context, pointer, value)

    def xchg(self, context: Context, pointer: int | PerCpu, value: int) -> int:
        old = self.read(context, pointer)
        self.write(context, pointer, value)
        return old

    def cmpxchg(self, context: Context, pointer: int | PerCpu, old: int, new: int) -> int:
        seen = self.read(context, pointer)
        if seen == wrap(old):
            self.write(context, pointer, new)
        return seen

    def rcu_read_lock(self, context: Context) -> None:
        context.rcu += 1

    def rcu_read_unlock(self, context: Context) -> None:
        context.rcu = max(0, context.rcu - 1)

    def preempt_disable(self, context: Context) -> None:
        context.preempt += 1

    def preempt_enable(self, context: Context) -> None:
        context.preempt = max(0, context.preempt - 1)

    def local_irq_save(self, context: Context) -> int:
        flags = self.irqs_off.get(self._flag_of(context), 0)
        self._set_irqs(context, 1)
        return flags

    def local_irq_restore(self, context: Context, flags: int) -> None:
        self._set_irqs(context, int(flags != 0))

    def _set_irqs(self, context: Context, flags: int) -> None:
        who = self._flag_of(context)
        if not self.irqs_off.get(who, 0):
            self.irqs_by[who] = context.number
        self.irqs_off[who] = flags

    def _flag_of(self, context: Context) -> int:
        return -2 - context.number if context.cpu is None else context.cpu

    def call_rcu(self, context: Context, function: ProgramFunction, argument: int) -> None:
        self._queue(context, "callback", context.cpu, function, argument).grace_period = self._readers()

    def queue_work(self, context: Context, function: ProgramFunction, argument: int) -> None:
        self._queue(context, "work", None, function, argument)

    def _queue(self, _: Context, kind: str, cpu: int | None, function: ProgramFunction, argument: int) -> Context:
        if None not in self.slots:
            raise Violated("fault", f"more than {CALLBACKS} callbacks are queued")
        slot = self.slots.index(None)
        queued = Context(len(self.setting.contexts) + slot, kind, cpu, function, (argument,))
        self.slots[slot] = queued
        self._begin_turn(queued)
        return queued

    def alloc_percpu(self, _: Context, size: int, align: int) -> int:  # noqa: ARG002
        return self.memory.alloc(self.memory.percpu, OBJECT_WORDS, size)

    def free_percpu(self, _: Context, pointer: int) -> None:
        self.memory.free(self.memory.percpu, pointer)

    def kzalloc(self, _: Context, size: int) -> int:
        return self.memory.alloc(self.memory.objects, FIRST_OBJECT, size)

    def kfree(self, _: Context, pointer: int) -> None:
        self.memory.free(self.memory.objects, pointer)

    def smp_processor_id(self, context: Context) -> int:
        return self.setting.cpus if context.cpu is None else context.cpu

    def nr_cpu_ids(self, _: Context) -> int:
        return self.setting.cpus

    def nr_node_ids(self, _: Context) -> int:
        return self.setting.nodes

    def cpumask_next(self, _: Context, cpu: int, mask: int) -> int:
        word = self.memory.read(self._address(mask))
        for after in range(max(0, int(cpu) + 1), self.setting.cpus):
            if word >> after & 1:
                return after
        return self.setting.cpus

    def ledger_add(self, context: Context, counter: int, delta: int) -> None:
        if len(context.notes) == MAX_NOTES:
            raise Violated("fault", f"an update notes at most {MAX_NOTES} counters")
        context.notes.append((int(counter), int(delta)))

    def ledger_commit(self, context: Context) -> None:
        for counter, delta in context.notes:
            self.ledger[counter] = wrap(self.ledger.get(counter, 0) + delta)
        context.notes = []

    def warn_on(self, _: Context, condition: int) -> int:
        if condition:
            raise Violated("warning", "warn_on")
        return 0

    def nothing(self, _context: Context, *_arguments: object) -> None:
        pass

    def _boot(self) -> None:
        everyone = (1 << self.setting.cpus) - 1
        self.memory.words = {CPU_POSSIBLE_MASK: everyone, CPU_ONLINE_MASK: everyone}
        for cpu in range(self.setting.cpus):
            self.memory.words[CPUMASK_OF + cpu * MASK_WORDS] = 1 << cpu

    # --- checks

    def _check_bound(self) -> None:
        """The atomic twins may be off by what slots hold, and by what is noted and not yet committed."""
        if self.bound is None:
            return
        notes = [note for context in self._all() for note in context.notes] + self.doubts
        for counter, ledger in self.ledger.items():
            twin = self.memory.words.get(counter, 0)
            in_flight = sum(abs(delta) for noted, delta in notes if noted == counter)
            if abs(twin - ledger) > self.bound + in_flight:
                raise Violated("error-bound", f"the twin at {counter} is {twin}, added were {ledger}")

    def check_end(self) -> None:
        """Raise `Violated` for what must not be at a final state."""
        if self.total is not None:
            for counter in sorted(self.ledger):
                self._check_counter(counter, self.alone(self.total, counter))
        if self.left is not None and self.memory.live > self.left:
            raise Violated("leak", f"{self.memory.live} regions and objects are left, {self.left} may be")

    def _check_counter(self, counter: int, value: int) -> None:
        ledger = self.ledger.get(counter, 0)
        in_doubt = [delta for doubted, delta in self.doubts if doubted == counter]
        right = value - ledger in _subset_sums(in_doubt)
        if not in_doubt and value < 0 <= ledger:
            self._wrong("negative-counter", counter, value, ledger)
        if abs(value) >= WRAPPED:
            self._wrong("wrapped-counter", counter, value, ledger)
        if not right:
            self._wrong("lost-count" if value < ledger else "doubled-count", counter, value, ledger)

    def _wrong(self, check: str, counter: int, value: int, ledger: int) -> NoReturn:
        raise Violated(check, f"the counter at {counter} is {value}, added were {ledger}")


def _key(context: Context) -> tuple[object, ...]:
    return (
        (context.program, context.arguments, context.turn, tuple(context.sent), context.over, context.began),
        (context.kind, context.cpu, context.migrates, context.to_go_down, context.rcu, context.preempt),
        (frozenset(context.grace_period), None if context.waits is None else frozenset(context.waits)),
        tuple(context.notes),
        context.result,
    )


def _subset_sums(deltas: list[int]) -> set[int]:
    return {sum(some) for size in range(len(deltas) + 1) for some in combinations(deltas, size)}


_OPERATIONS: dict[str, Any] = {
    "read_once": Model.read,
    "smp_load_acquire": Model.read,
    "rcu_dereference": Model.read,
    "write_once": Model.write,
    "smp_store_release": Model.write,
    "rcu_assign_pointer": Model.write,
    "atomic_long_add": Model.add,
    "atomic_long_add_return": Model.add_return,
    "atomic_long_fetch_add": Model.fetch_add,
    "xchg": Model.xchg,
    "cmpxchg": Model.cmpxchg,
    "wait_until": Model.wait_until,
    "synchronize_rcu": Model.nothing,
    "rcu_barrier": Model.nothing,
    "smp_mb": Model.nothing,
    "cpu_relax": Model.nothing,
    "quiescent_state": Model.nothing,
    "mark": Model.nothing,
} | {
    method.__name__: method
    for method in (
        *(Model.rcu_read_lock, Model.rcu_read_unlock, Model.preempt_disable, Model.preempt_enable),
        *(Model.local_irq_save, Model.local_irq_restore, Model.call_rcu, Model.queue_work),
        *(Model.alloc_percpu, Model.free_percpu, Model.kzalloc, Model.kfree),
        *(Model.smp_processor_id, Model.nr_cpu_ids, Model.nr_node_ids, Model.cpumask_next),
        *(Model.ledger_add, Model.ledger_commit, Model.warn_on),
    )
}

_THIS_CPU: dict[str, Callable[..., tuple[int | None, int]]] = {
    "read": lambda old: (None, old),
    "write": lambda _, value: (value, 0),
    "add": lambda old, value: (old + value, 0),
    "sub": lambda old, value: (old - value, 0),
    "inc": lambda old: (old + 1, 0),
    "dec": lambda old: (old - 1, 0),
    "and": lambda old, value: (old & value, 0),
    "or": lambda old, value: (old | value, 0),
    "add_return": lambda old, value: (old + value, old + value),
    "xchg": lambda old, value: (value, old),
    "cmpxchg": lambda old, expected, new: (new if old == expected else None, old),
}


# --- searching


@dataclass
class Outcome:
    """What all schedules of a setting can come to."""

    finals: set[FinalState] = field(default_factory=set)
    violations: set[str] = field(default_factory=set)
    schedules: int = 0
    states: int = 0
    examples: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """For each violation, one schedule."""


def enumerate_schedules(
    setting: Setting,
    left: int | None = None,
    total: ProgramFunction | None = None,
    bound: int | None = None,
    *,
    exclusive: bool = False,
    max_schedules: int = 100_000,
) -> Outcome:
    """Run every schedule: each ends where nothing can be done any more, or in a violation."""
    new = partial(Model, setting, left, total, bound, exclusive=exclusive)
    return _Search(new, max_schedules, remember=False).outcome


def reachable(
    setting: Setting,
    left: int | None = None,
    total: ProgramFunction | None = None,
    bound: int | None = None,
    *,
    exclusive: bool = False,
    max_states: int = 1_000_000,
) -> Outcome:
    """The same, but no state is entered twice; `schedules` is of no meaning then."""
    new = partial(Model, setting, left, total, bound, exclusive=exclusive)
    return _Search(new, max_states, remember=True).outcome


class _Search:
    """Depth first. What is left to visit is the choices that lead there."""

    def __init__(self, new: Callable[[], Model], limit: int, *, remember: bool) -> None:
        self._new = new
        self._limit = limit
        self._seen: set[tuple[object, ...]] | None = set() if remember else None
        self.outcome = Outcome()
        waiting: list[tuple[int, ...]] = [()]
        while waiting:
            waiting += self._visit(waiting.pop())

    def _visit(self, path: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Follow the first choice at every state from there on; the other choices, still to be taken."""
        waiting: list[tuple[int, ...]] = []
        model = self._new()
        try:
            for choice in path:
                model.step(choice)
            while choices := self._choices(model):
                waiting += [(*path, choice) for choice in choices[1:]]
                path = (*path, choices[0])
                model.step(choices[0])
        except Violated as violated:
            self.outcome.violations.add(violated.check)
            self.outcome.examples.setdefault(violated.check, path)
        self.outcome.schedules += 1
        if (self.outcome.states if self._seen is not None else self.outcome.schedules) > self._limit:
            raise TooMany(f"more than {self._limit}")
        return waiting

    def _choices(self, model: Model) -> list[int]:
        if self._seen is not None:
            key = model.key()
            if key in self._seen:
                return []
            self._seen.add(key)
        self.outcome.states += 1
        if model.finished():
            self.outcome.finals.add(model.final())
            model.check_end()
            return model.enabled()
        return model.enabled() or self._stuck()

    def _stuck(self) -> NoReturn:
        raise Violated("deadlock", "nobody can do anything, and somebody has not finished")
