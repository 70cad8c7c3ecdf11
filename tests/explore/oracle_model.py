"""A state of a setting in the oracle: what each context may do in it, and what comes of that."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import FAIL, HALF, MAX_NUMBERS, MIGRATE, ContextSpec, Setting
from percpu_emu.lang.words import wrap

from . import oracle_operations as operations
from .oracle_checks import Checks
from .oracle_context import Context
from .oracle_memory import MAX_BYTES, Memory
from .oracle_programs import Programs, Violated


class TooMany(Exception):
    """A limit of the search, or of the model, is reached: there is no verdict."""


class Model:
    """A state, which each `step` changes. Raises `Violated`.

    The read-modify-writes of the own copy come in halves where they go to an address of `split`; None: everywhere.
    """

    def __init__(self, setting: Setting, checks: Checks | None = None, split: frozenset[int] | None = None) -> None:
        self.setting = setting
        self.checks = checks or Checks()
        self.split = split
        self.programs = Programs(setting.constants)
        self.written_remotely: set[int] = set()
        """Of this state and all copies: copies of a CPU on line that a context elsewhere has written."""
        self.marks: set[str] = set()
        """Likewise the marks that were reached."""
        self.memory = Memory(setting.cpus)
        self.ledger: dict[int, int] = {}
        self.doubts: tuple[tuple[int, int], ...] = ()
        """What killed contexts had noted."""
        self.down: frozenset[int] = frozenset()
        self.freed_early = False
        self.failures = 0
        """How many allocations may still give nothing: none in the setup."""
        self.ended: Context | None = None
        """What ended in the last step."""
        self.contexts: list[Context] = []
        self.slots: dict[int, Context] = {}
        """What is queued, by number."""
        if setting.setup is not None:
            self.alone(setting.setup)
        self.failures = setting.allocations_fail
        self.contexts = [self._made(number, spec) for number, spec in enumerate(setting.contexts)]

    def copy(self) -> Model:
        other = copy.copy(self)
        other.memory, other.ledger = self.memory.copy(), dict(self.ledger)
        other.contexts = [context.copy() for context in self.contexts]
        other.slots = {number: context.copy() for number, context in self.slots.items()}
        return other

    # --- what it is

    def words(self) -> dict[int, int]:
        return self.memory.nonzero()

    def results(self) -> tuple[int, ...]:
        return tuple(context.result for context in self.contexts)

    def key(self) -> tuple[object, ...]:
        """Equal for two states from which the same can follow."""
        contexts = tuple(context.key() for context in self.all())
        ledger, doubts = frozenset(self.ledger.items()), tuple(sorted(self.doubts))
        return self.memory.key(), contexts, ledger, doubts, self.down, self.freed_early, self.failures

    def all(self) -> list[Context]:
        return [*self.contexts, *(self.slots[number] for number in sorted(self.slots))]

    def readers(self) -> frozenset[int]:
        return frozenset(context.number for context in self.all() if context.reader)

    def finished(self) -> bool:
        return all(context.over or (context.kind == "interrupt" and not context.began) for context in self.all())

    # --- what can be done

    def enabled(self) -> list[int]:
        steps = [context for context in self.all() if self._may_step(context)]
        halves = [context.number + HALF for context in steps if self._may_be_split(context)]
        moves = [choice for context in self.contexts for choice in self._migrations(context)]
        failing = [context.number + FAIL for context in steps if self._may_fail(context)]
        return [context.number for context in steps] + halves + moves + failing

    def _may_fail(self, context: Context) -> bool:
        if self.failures == 0 or context.to_go_down is not None or context.op.name not in ("alloc_percpu", "kzalloc"):
            return False
        return 1 <= context.op.args[0] <= MAX_BYTES

    def _may_step(self, context: Context) -> bool:
        if context.over:
            return False
        if context.to_go_down is not None:
            return context.kind == "kill" or self._quiet(context.to_go_down)
        return not self._blocked(context) and self._has_cpu(context)

    def is_online(self, cpu: int) -> bool:
        return 0 <= cpu < self.setting.cpus and cpu not in self.down

    def _quiet(self, cpu: int) -> bool:
        """Whether no task is mid-turn on the CPU, no interrupt active, and none that was sent there still to come."""
        there = [context for context in self.all() if context.cpu == cpu]
        return not any(context.mid_turn or (context.kind == "sent" and not context.over) for context in there)

    def _has_cpu(self, context: Context) -> bool:
        if context.cpu is None or context.active:
            return True
        if context.cpu in self.down:
            return False
        others = [other for other in self.all() if other.cpu == context.cpu and other is not context]
        if any(other.active or other.loaded is not None for other in others):
            return False
        if context.interrupting:
            return not any(other.irqs_off for other in others)
        return not any(other.in_section for other in others)

    def _blocked(self, context: Context) -> bool:
        if context.grace_period or context.behind:
            return True
        if context.waits is not None:
            return len(context.waits) > 0
        if context.op.name == "takedown_cpu":
            return context.may_sleep and not self._may_stop(int(context.op.args[0]))
        if context.op.name == "wait_until":
            return context.may_sleep and not self._is(*context.op.args)
        return self._spins(context) and not self._only_begins(context)

    def _may_stop(self, cpu: int) -> bool:
        """Whether what runs there can be interrupted for good; or nothing will be done."""
        there = [context for context in self.all() if context.cpu == cpu]
        busy = any(c.in_section or c.active or c.loaded is not None or (c.kind == "sent" and not c.over) for c in there)
        return not busy or not operations.may_go_down(self, cpu)

    def _spins(self, context: Context) -> bool:
        return context.op.name == "smp_cond_load_acquire" and not self._is(*context.op.args)

    def _only_begins(self, context: Context) -> bool:
        """Whether its next step is that it comes: an interrupt that spins from its first operation on."""
        return context.interrupting and not context.began and self._spins(context)

    def _is(self, pointer: operations.Pointer, value: int) -> bool:
        """Whether the word has that value; or may not be read at all, which the step finds."""
        try:
            return self.memory.read(self.memory.address(pointer)) == wrap(value)
        except Violated:
            return True

    def _may_be_split(self, context: Context) -> bool:
        if context.to_go_down is not None or context.loaded is not None or context.cpu is None:
            return False
        address = operations.split_address(context)
        return address is not None and (self.split is None or address in self.split)

    def _migrations(self, context: Context) -> Iterator[int]:
        has_to = context.cpu in self.down and not context.over and not context.interrupting
        if has_to:
            yield from (context.number + MIGRATE * (1 + cpu) for cpu in range(self.setting.cpus) if self.is_online(cpu))
        if has_to or context.kind != "task" or context.migrates == 0 or not context.mid_turn or context.cpu is None:
            return
        there = [other for other in self.all() if other.cpu == context.cpu]
        if context.in_section or context.loaded is not None or any(other.active or other.irqs_off for other in there):
            return
        for cpu in range(self.setting.cpus):
            if cpu != context.cpu and cpu not in self.down:
                yield context.number + MIGRATE * (1 + cpu)

    # --- doing it

    def step(self, choice: int) -> None:
        assert choice in self.enabled(), choice
        failing, choice = divmod(choice, FAIL)
        half, move = divmod(choice, HALF)
        cpu, number = move // MIGRATE - 1, move % MIGRATE
        context = self.slots[number] if number in self.slots else self.contexts[number]
        self.ended = None
        if cpu >= 0:
            context.migrates -= context.cpu not in self.down
            context.cpu = cpu
        elif context.to_go_down is not None:
            self._take_down(context)
        elif half:
            context.began = context.mid_turn = True
            context.loaded = operations.load(self, context)
        elif failing:
            self.failures -= 1
            context.began = context.mid_turn = True
            self._go_on(context, 0)
        else:
            self._do(context)
        self._settle()

    def _do(self, context: Context) -> None:
        only_begins = self._only_begins(context)
        context.began = context.mid_turn = True
        if only_begins:
            return
        if context.waits is None and context.op.name in operations.WAITS_FOR:
            context.waits = operations.WAITS_FOR[context.op.name](self, context)
            return
        context.waits = None
        result = operations.perform(self, context)
        context.loaded = None
        self._go_on(context, result)

    def _go_on(self, context: Context, result: int) -> None:
        assert context.place is not None
        context.place = self.programs.next(context.place, result)
        if context.place.op is None:
            self._end_turn(context)

    def _end_turn(self, context: Context) -> None:
        assert context.place is not None
        if context.in_section:
            raise Violated("unbalanced-section", f"{context.program.__name__} ends inside a section")
        context.result, context.mid_turn, context.place = context.place.result, False, None
        context.turn += 1
        if context.turn < context.turns:
            self._begin_turn(context)
        else:
            context.end()
            self.ended = context

    def _begin_turn(self, context: Context) -> None:
        arguments = (context.turn if argument == "turn" else argument for argument in context.arguments)
        context.place = self.programs.first(context.program, tuple(wrap(int(argument)) for argument in arguments))
        if context.place.op is None:
            self._end_turn(context)

    def _settle(self) -> None:
        """Slots of programs that have ended are free, and no context waits any more for one that is no reader."""
        ended = {number for number, context in self.slots.items() if context.over}
        self.slots = {number: context for number, context in self.slots.items() if number not in ended}
        readers = self.readers()
        for context in self.all():
            context.grace_period &= readers
            context.behind -= ended
            if context.waits is not None:
                context.waits = context.waits - ended if context.op.name == "rcu_barrier" else context.waits & readers
            if not context.reader:
                context.held = frozenset()

    def _take_down(self, context: Context) -> None:
        cpu, context.to_go_down, context.began = context.to_go_down, None, True
        assert cpu is not None
        self.down |= {cpu}
        self.memory.words[CPU_ONLINE_MASK] &= ~(1 << cpu)
        for other in self.all():
            if other.cpu == cpu and other.kind in ("callback", "work") and not other.began:
                other.cpu = None
            elif other.cpu == cpu:
                self.doubts += other.notes
                other.end()

    def _made(self, number: int, spec: ContextSpec) -> Context:
        own = self.setting.cpus if spec.cpu is None else spec.cpu
        arguments = tuple(own if argument == "cpu" else argument for argument in spec.arguments)
        turns = spec.turns if spec.kind == "task" else 1
        context = Context(number, spec.kind, spec.home, spec.program, arguments, turns, spec.migrates)
        if spec.kind in ("offline", "kill"):
            context.to_go_down = spec.cpu
        self._begin_turn(context)
        return context

    def queue(self, kind: str, cpu: int | None, program: ProgramFunction, argument: int) -> Context:
        """What `call_rcu` and `queue_work` queue: it takes the lowest free number."""
        first = len(self.setting.contexts)
        number = next(number for number in range(first, first + len(self.slots) + 1) if number not in self.slots)
        if number >= MAX_NUMBERS:
            raise TooMany(f"more than {MAX_NUMBERS} contexts at a time")
        queued = Context(number, kind, cpu, program, (wrap(int(argument)),))
        self.slots[number] = queued
        self._begin_turn(queued)
        return queued

    def alone(self, program: ProgramFunction, *arguments: int) -> int:
        """The result of a program that the coordinator runs while no context takes a step."""
        context = Context(-1, "task", None, program, arguments)
        self._begin_turn(context)
        while not context.over:
            if self._blocked(context):
                raise Violated("deadlock", f"{program.__name__} waits for ever")
            self._do(context)
        return context.result
