"""Schedules: from the moves of a search to single steps, and from steps to a trace of what each one did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.lock_order import Taking, circle_in, takings_of
from percpu_emu.explore.model import Model, OutOfRoom, Words
from percpu_emu.explore.obstacles import contexts_in, obstacle_of
from percpu_emu.lang import instructions as i
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.setting import MIGRATE, context_of, fails, is_half, is_migration
from percpu_emu.lang.source import Site
from percpu_emu.lang.trace import Access, Standing, Step, TracedContext
from percpu_emu.lang.virtual import layout, outcomes

QUEUED_KINDS: Final = {layout.AS_CALLBACK: "callback", layout.AS_WORK: "work", layout.AS_INTERRUPT: "sent"}


class NotPossible(ValueError):
    """A schedule has a choice that is not there."""


@dataclass
class Stepper:
    """A model, taken step by step; `steps` is what was done so far."""

    model: Model
    steps: list[Step] = field(default_factory=list)
    actors: dict[tuple[int, str], TracedContext] = field(default_factory=dict)
    violated: str = ""
    fault: Site | None = None
    """Where a program did what has no result: the operation, or the arithmetic behind it."""
    standings: list[list[Standing]] = field(default_factory=list)
    """How every context stands before the first step, and after each."""

    takings: list[tuple[int, Taking]] = field(default_factory=list)
    """How locks were taken, with the number of the step; each once."""

    def __post_init__(self) -> None:
        self.state: Words = np.zeros(self.model.buffer_words, dtype=np.int64)
        self.state[: self.model.size] = self.model.initial
        self._queued: dict[int, str] = {}
        self._choices = np.zeros(1024, dtype=np.int64)
        self._note_standings()

    def choices(self) -> list[int]:
        """What can be done now; nothing after a violation."""
        if self.violated:
            return []
        return [int(c) for c in self._choices[: compiled().choices(self.model.vm, self.state, self._choices)]]

    def is_possible(self, choice: int) -> bool:
        """Whether a choice can be made now: also the half of a read-modify-write that no other CPU is known to see."""
        if self.violated or not is_half(choice):
            return choice in self.choices()
        context = context_of(choice)
        vm = self.model.vm
        return context in self.choices() and bool(compiled().may_halve(vm, self.state, context))

    @property
    def is_final(self) -> bool:
        """Whether everything that has to run has run."""
        return bool(compiled().is_final(self.model.vm, self.state))

    @property
    def done(self) -> Site | None:
        """Where the operation stands that the last step has done; None for a half, and for a wait that only begins."""
        if not self.steps or self.steps[-1].half == "load":
            return None
        step = self.steps[-1]
        waits = self.state[self.model.block(step.context) + layout.WAIT] & layout.REGISTERED
        return None if waits and step.op in ("synchronize_rcu", "rcu_barrier") else step.site

    def must_run(self, context: int) -> bool:
        """Whether a context has to run before the end; an interrupt need not."""
        status = self.state[self.model.block(context) + layout.STATUS]
        return not (status == layout.WAITING and context < len(self.model.setting.contexts))

    def run(self, schedule: Iterable[int]) -> Stepper:
        """Take the steps of a schedule, up to a violation. Raises NotPossible."""
        for number, choice in enumerate(schedule):
            if self.violated:
                break
            if not self.is_possible(choice):
                raise NotPossible(f"step {number}: context {context_of(choice)} cannot do anything now")
            self.take(choice)
        return self

    def take(self, choice: int) -> None:
        """One step, which is possible."""
        context, vm = context_of(choice), self.model.vm
        cpu = self._cpu(context)
        self._meet(context)
        if is_migration(choice):
            compiled().migrate(vm, self.state, choice)
            self.steps.append(Step(context, "migrate", (choice // MIGRATE - 1,), cpu=cpu))
            self._note_standings()
            return
        base = self.model.block(context)
        pc, halfway = int(self.state[base + layout.PC]), self.state[base + layout.MID_TURN] == layout.HALFWAY
        args = self._arguments(context, pc)
        begins = bool(compiled().begins_to_spin(vm, self.state, context))
        step = compiled().step_half if is_half(choice) else compiled().step_fail if fails(choice) else compiled().step
        vm[layout.TAKEN] = 0
        violated = int(step(vm, self.state, context))
        if violated < 0:
            raise OutOfRoom(violated)
        known = {taking for _, taking in self.takings}
        self.takings += [(len(self.steps), taking) for taking in takings_of(self.model) if taking not in known]
        half = "load" if is_half(choice) or begins else "store" if halfway else ""
        self.steps.append(self._step(context, pc, args, cpu, half))
        if not violated and self.steps[-1].ended and context >= len(self.model.setting.contexts):
            violated = int(compiled().check_counters(vm, self.state, False))
        self._note_standings()  # before the violation: from then on every context counts as over
        self.violated = LABELS[violated]
        if violated == outcomes.FAULT:
            self.fault = self._place_of_fault(context)

    def _note_standings(self) -> None:
        self.standings.append([self.standing(context) for context in self.contexts()])

    def finish(self) -> str:
        """The check that the state as it stands violates, where everything has run, or can run no more; "" for none."""
        if self.violated:
            return self.violated
        if bound := LABELS[int(compiled().check_bound(self.model.vm, self.state))]:
            return bound
        if self.is_final:
            at_the_end = LABELS[int(compiled().check_final(self.model.vm, self.state))]
        else:
            at_the_end = "" if self.choices() else "deadlock"
        return at_the_end or ("circular-wait" if circle_in(taking for _, taking in self.takings) else "")

    def is_mid_turn(self, context: int) -> bool:
        """Whether a context has begun a turn that is not over."""
        return bool(self.state[self.model.block(context) + layout.MID_TURN])

    def is_unfinished(self, context: int) -> bool:
        """Whether a context has begun, or has to, and is not over."""
        return bool(compiled().must_finish(self.model.vm, self.state, context))

    def live_regions(self) -> int:
        """Areas and objects that are allocated."""
        first = self.model.vm[layout.FIRST_REGION]
        return int((self.state[first : self.model.size] & layout.STATE_OF_REGION == layout.LIVE).sum())

    def ledgers(self) -> dict[int, int]:
        """What is entered in the ledger, by the counter's address."""
        return self.model.ledgers(self.state)

    def contexts(self) -> list[int]:
        """Those of the setting, and the callbacks that are queued or run; over or not."""
        callbacks = range(len(self.model.setting.contexts), int(self.model.vm[layout.CHECKER]))
        used = [number for number in callbacks if self.state[self.model.block(number) + layout.STATUS] != layout.UNUSED]
        return [*range(len(self.model.setting.contexts)), *used]

    def standing(self, context: int) -> Standing:
        """How a context stands: where it is, whether a grace period waits for it, and why it cannot go on."""
        status = int(self.state[self.model.block(context) + layout.STATUS])
        reader = status == layout.RUNNING and bool(compiled().is_reader(self.model.vm, self.state, context))
        return Standing(context, self._cpu(context), reader, obstacle_of(self, context))

    def ahead(self, context: int) -> tuple[str, Site | None]:
        """The operation that comes next in a context, "" for none, and where it stands; None for a machine's event."""
        pc = int(self.state[self.model.block(context) + layout.PC])
        name = self.model.code.names.get(pc, "")
        if name == "take_down":
            name = self.model.setting.contexts[context].kind
        return name, self.model.code.sites.get(pc)

    def queued(self, context: int) -> str:
        """The program that was queued last under that number."""
        return self._queued[context]

    def meet_everyone(self) -> None:
        """Have those among the actors, too, that have not moved yet."""
        for context in self.contexts():
            self._meet(context)

    # --- what a step did

    def _cpu(self, context: int) -> int | None:
        cpu = int(self.state[self.model.block(context) + layout.CPU])
        return cpu - 1 if cpu else None

    def operand(self, context: int, which: int) -> int:
        """A register of a context, or a constant, as its code names it."""
        vm, base = self.model.vm, self.model.block(context)
        return int(self.state[base + layout.REGISTERS + which] if which >= 0 else vm[vm[layout.CONSTANTS] - 1 - which])

    def _arguments(self, context: int, pc: int) -> tuple[int, ...]:
        """The operation's arguments, as its program gave them."""
        operation, row = OPERATIONS.get(self.model.code.names[pc]), self.model.code.rows[pc]
        if operation is None:
            return ()
        values = [self.operand(context, which) for which in row[i.A : i.OWN]]
        if operation.operand == "negated":
            values[1] = operation.operand_of(values)
        return tuple(values[: operation.arity])

    def _step(self, context: int, pc: int, args: tuple[int, ...], cpu: int | None, half: str) -> Step:
        vm, code = self.model.vm, self.model.code
        log = vm[vm[layout.LOG] : vm[layout.LOG] + layout.LOG_WORDS].tolist()
        name = code.names[pc]
        if name == "take_down":
            name, args = self.model.setting.contexts[context].kind, (int(vm[vm[layout.TARGETS] + context]),)
        operation = OPERATIONS.get(name)
        if operation is not None and operation.queues:
            self._queued[log[layout.LOG_QUEUED]] = code.queued[args[0]].__name__
            args = (log[layout.LOG_QUEUED], *args[1:])
        accesses: tuple[Access, ...] = ()
        if log[layout.LOG_ADDRESS] >= 0:
            old, new = log[layout.LOG_OLD], log[layout.LOG_NEW]
            failed = code.rows[pc][i.OPCODE] == i.CMPXCHG and log[layout.LOG_RESULT] != args[1] and half != "store"
            wrote = log[layout.LOG_MODE] > layout.READS and not failed
            accesses = (Access(log[layout.LOG_ADDRESS], old, new, wrote),)
        return Step(
            context,
            name,
            args,
            log[layout.LOG_RESULT],
            accesses,
            code.sites.get(pc),
            cpu,
            contexts_in(log[layout.LOG_WAIT]),
            bool(log[layout.LOG_ENDED]),
            half,
            code.calls.get(pc, ()),
        )

    def _place_of_fault(self, context: int) -> Site | None:
        queued = int(self.model.vm[self.model.vm[layout.LOG] + layout.LOG_QUEUED])
        at = self.state[self.model.block(queued if queued >= 0 else context) + layout.PC]
        return self.model.code.sites.get(int(at)) or self.steps[-1].site

    # --- who does them

    def _meet(self, context: int) -> None:
        specs = self.model.setting.contexts
        if context < len(specs):
            spec = specs[context]
            met = TracedContext(context, spec.name, spec.cpu, spec.kind, spec.program.__name__)
        else:
            kind = QUEUED_KINDS[int(self.state[self.model.block(context) + layout.WORK])]
            program = self._queued.get(context, "")
            met = TracedContext(context, program, self._cpu(context), kind, program)
        self.actors.setdefault((context, met.program), met)
