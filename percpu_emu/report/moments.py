"""What stands beside the words after each step of a trace: contexts, waits for RCU, allocations, ledgers.

Who is a reader and when a wait is over the engine says, where the trace has its standings; what a native run has
recorded has none, and is followed by its steps alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.report.labels import ALLOCATES, FREES, definition, opcode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from percpu_emu.lang.trace import Standing, Step, Trace
    from percpu_emu.report.labels import Labels

State: TypeAlias = Literal["not started", "queued", "ready", "waiting", "interrupted", "ended", "offline", "killed"]
OVER: Final = frozenset({"ended", "offline", "killed"})
_ON_A_CPU: Final = frozenset({"interrupt", "callback", "work"})


@dataclass(frozen=True)
class Wait:
    """A wait for RCU: who began it, whom it had to wait for then, and whom it still has to."""

    step: int
    by: int
    op: str
    of: tuple[int, ...]
    pending: tuple[int, ...]
    runs: int | None = None
    """The callback that it leads to, if that ever ran."""
    taken: bool = False
    """Whether who waited has gone on, or the callback has begun."""


@dataclass(frozen=True)
class ContextState:
    """How a context stands after a step."""

    state: State
    cpu: int | None
    reader: bool = False
    """Inside a read-side section, or with preemption or interrupts off, or an interrupt."""


@dataclass(frozen=True)
class Moment:
    """What stands after so many steps. Contexts and their numbers are actors (`report.labels`)."""

    contexts: tuple[ContextState, ...]
    waits: tuple[Wait, ...]
    live: frozenset[int]
    freed: frozenset[int]
    ledgers: Mapping[int, int]
    """What has been entered for each counter in the steps so far."""
    over: tuple[Wait, ...] = ()
    """Waits whose last section ended in this very step."""


@dataclass
class _Actor:
    """What a moment is made of while the steps are followed."""

    kind: str
    cpu: int | None
    state: State = "not started"
    sections: int = 0
    irqs_off: bool = False
    noted: list[tuple[int, int]] = field(default_factory=list)

    @property
    def reader(self) -> bool:
        if self.state in OVER or self.state in ("not started", "queued"):
            return False
        on_a_cpu = self.kind == "interrupt" or (self.kind == "callback" and self.cpu is not None)
        return self.sections > 0 or self.irqs_off or on_a_cpu


def moments(trace: Trace, labels: Labels) -> list[Moment]:
    """The moment before the first step, then the one after each step."""
    replay = _Replay(trace, labels)
    return [replay.first(), *(replay.follow(index) for index in range(len(trace.steps)))]


class _Replay:
    """Follows the steps of one trace."""

    def __init__(self, trace: Trace, labels: Labels) -> None:
        self._trace = trace
        self._labels = labels
        self._actors = [_Actor(context.kind, context.cpu) for context in trace.contexts]
        self._waits: list[Wait] = []
        allocated = {step.result for step in trace.steps if opcode(step) in ALLOCATES}
        self._live = set(labels.bases) - allocated
        self._freed: set[int] = set()
        self._ledgers = _before(trace, labels)

    def first(self) -> Moment:
        """What stands before the first step."""
        return self.moment(standings=self._standings(-1))

    def follow(self, index: int) -> Moment:
        step, number = self._trace.steps[index], self._labels.actors[index]
        actor = self._actors[number]
        if actor.state in ("not started", "queued"):
            self._begin(number)
        actor.state = "ready"
        actor.cpu = step.cpu
        self._memory(step)
        self._ledger(step, actor)
        self._section(step, actor)
        self._machine(step, number)
        self._rcu(index, step, number)
        if step.ended:
            actor.state = "ended"
        standings = self._standings(index)
        return self.moment(self._pass(number) if standings is None else self._ended_by_now(standings), standings)

    def _standings(self, index: int) -> dict[int, Standing] | None:
        """How contexts stand after a step, by actor; None where the trace does not say. Before the first step: -1."""
        if len(self._trace.standings) != len(self._trace.steps) + 1:
            return None
        found = ((self._labels.actor_of(one.context, index + 1), one) for one in self._trace.standings[index + 1])
        return {actor: standing for actor, standing in found if actor is not None}

    def moment(self, over: tuple[Wait, ...] = (), standings: Mapping[int, Standing] | None = None) -> Moment:
        states = tuple(self._state(number, standings or {}) for number in range(len(self._actors)))
        live, freed = frozenset(self._live), frozenset(self._freed)
        return Moment(states, tuple(self._waits), live, freed, dict(self._ledgers), over)

    def _state(self, number: int, standings: Mapping[int, Standing]) -> ContextState:
        actor = self._actors[number]
        reader = standings[number].reader if number in standings else actor.reader
        above = [
            other
            for other in self._actors
            if other.kind in _ON_A_CPU and other.cpu is not None and other.cpu == actor.cpu
            if other.state in ("ready", "waiting")
        ]
        covered = actor.kind == "task" and actor.state == "ready" and above
        return ContextState("interrupted" if covered else actor.state, actor.cpu, reader)

    def _begin(self, number: int) -> None:
        self._waits = [replace(wait, taken=True) if wait.runs == number else wait for wait in self._waits]

    def _memory(self, step: Step) -> None:
        if opcode(step) in ALLOCATES and step.result:
            self._live.add(step.result)
        elif opcode(step) in FREES and step.args[0]:
            self._live.discard(step.args[0])
            self._freed.add(step.args[0])

    def _ledger(self, step: Step, actor: _Actor) -> None:
        if opcode(step) == i.LEDGER_ADD:
            actor.noted.append((step.args[0], step.args[1]))
        elif opcode(step) == i.LEDGER_COMMIT:
            for counter, delta in actor.noted:
                self._ledgers[counter] = self._ledgers.get(counter, 0) + delta
            actor.noted = []

    def _section(self, step: Step, actor: _Actor) -> None:
        operation = definition(step)
        if operation is None:
            return
        if operation.enters == "irq":
            actor.irqs_off = True
        elif operation.leaves == "irq":
            actor.irqs_off = bool(step.args and step.args[0])
        else:
            actor.sections += operation.nesting

    def _machine(self, step: Step, number: int) -> None:
        if step.op == "migrate":
            self._actors[number].cpu = cpu_of_event(self._trace, step, number)
        if step.op not in ("offline", "kill"):
            return
        cpu = cpu_of_event(self._trace, step, number)
        for actor in self._actors:
            over = actor.kind == "task" or (actor.kind == "interrupt" and actor.state in ("not started", "ready"))
            if actor.cpu == cpu and over and actor.state != "ended":
                actor.state = "offline" if step.op == "offline" else "killed"

    def _rcu(self, index: int, step: Step, number: int) -> None:
        operation = definition(step)
        if operation is None or not (is_two_steps(step) or operation.queues):
            return
        for place, wait in enumerate(self._waits):
            if wait.by == number and wait.op == step.op and is_two_steps(step) and not wait.taken:
                self._waits[place] = replace(wait, pending=(), taken=True)
                return
        of = (self._labels.actor_of(context, index) for context in step.waits_for)
        actors = tuple(actor for actor in of if actor is not None)
        runs = self._queue(index, step) if operation.queues else None
        if is_two_steps(step):
            self._actors[number].state = "waiting"
        if operation.opcode != i.QUEUE_WORK:
            self._waits.append(Wait(index, number, step.op, actors, actors, runs))

    def _queue(self, index: int, step: Step) -> int | None:
        """The actor that a queued program will be; `call_rcu` gives the slot it was queued in first."""
        later = range(index + 1, len(self._trace.steps))
        found = (self._labels.actors[i] for i in later if step.args and self._trace.steps[i].context == step.args[0])
        runs = next(found, None)
        if runs is None and step.args:
            runs = self._labels.actor_of(step.args[0], index)
        if runs is not None and self._actors[runs].state == "not started":
            self._actors[runs].state = "queued"
            return runs
        return None

    def _ended_by_now(self, standings: Mapping[int, Standing]) -> tuple[Wait, ...]:
        """Take those out of the waits that are not waited for any more; the waits of which the engine says so."""
        over = []
        for place, wait in enumerate(self._waits):
            standing = standings.get(wait.by if wait.runs is None else wait.runs)
            if wait.taken or not wait.pending or standing is None:
                continue
            obstacle = standing.obstacle
            awaited = obstacle.contexts if obstacle and obstacle.reason in ("grace period", "callbacks") else ()
            numbers = {self._trace.contexts[actor].number: actor for actor in wait.of}
            still = tuple(numbers[context] for context in awaited if context in numbers)
            if obstacle is None or still:
                self._waits[place] = replace(wait, pending=still)
            over += [self._waits[place]] if obstacle is None else []
        return tuple(over)

    def _pass(self, number: int) -> tuple[Wait, ...]:
        """Take those who are readers no more out of the waits; the waits that are over with it."""
        over = []
        for place, wait in enumerate(self._waits):
            still = tuple(actor for actor in wait.pending if self._holds_up(wait, actor, number))
            if still != wait.pending:
                self._waits[place] = replace(wait, pending=still)
                if not still:
                    over.append(self._waits[place])
        return tuple(over)

    def _holds_up(self, wait: Wait, actor: int, number: int) -> bool:
        state = self._actors[actor]
        if state.state in OVER:
            return False
        return actor != number or OPERATIONS[wait.op].opcode == i.RCU_BARRIER or state.reader


def _before(trace: Trace, labels: Labels) -> dict[int, int]:
    """What the ledgers say before the first step: what they say at the end, without what the steps enter."""
    noted: dict[int, list[tuple[int, int]]] = {}
    ledgers = dict(trace.ledgers)
    for step, actor in zip(trace.steps, labels.actors, strict=True):
        if opcode(step) == i.LEDGER_ADD:
            noted.setdefault(actor, []).append((step.args[0], step.args[1]))
        elif opcode(step) == i.LEDGER_COMMIT:
            for counter, delta in noted.pop(actor, []):
                ledgers[counter] = ledgers.get(counter, 0) - delta
    return ledgers


def is_two_steps(step: Step) -> bool:
    """Whether the operation is a wait that begins with one step and ends with another."""
    operation = definition(step)
    return operation is not None and operation.asks and operation.wait == "sleeps"


def cpu_of_event(trace: Trace, step: Step, actor: int) -> int | None:
    """Which CPU goes down or is moved to."""
    if step.args:
        return step.args[0]
    return step.cpu if step.op == "migrate" else trace.contexts[actor].cpu
