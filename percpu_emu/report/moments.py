"""What stands beside the words after each step of a trace: contexts, waits for RCU, allocations, ledgers.

The engine says how a context stands (`Trace.standings`): whether it is a reader, and what it waits for. The steps say
which contexts have begun and ended. A trace without standings shows no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.report.labels import ALLOCATES, FREES, definition, opcode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from percpu_emu.lang.trace import Reason, Standing, Step, Trace
    from percpu_emu.report.labels import Labels

State: TypeAlias = Literal[
    "not started", "queued", "ready", "waiting", "blocked", "interrupted", "ended", "offline", "killed"
]
OVER: Final = frozenset({"ended", "offline", "killed"})
_STATES: Final[dict[Reason, State]] = {"word": "blocked", "busy": "blocked", "interrupt": "interrupted"}
"""What the engine says of a context that has begun; for any other reason it is ready, and its CPU is busy."""


@dataclass(frozen=True)
class Wait:
    """A wait for RCU: the actor that waits, the readers it had to wait for, and those it still waits for."""

    step: int
    by: int
    op: str
    of: tuple[int, ...]
    pending: tuple[int, ...]
    runs: int | None = None
    """The callback that it leads to, if that ever ran."""
    taken: bool = False
    """Whether the actor has gone on, or the callback has begun."""


@dataclass(frozen=True)
class ContextState:
    """How a context stands after a step."""

    state: State
    cpu: int | None
    reader: bool = False
    """Whether a grace period that begins now waits for it."""


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


def moments(trace: Trace, labels: Labels) -> list[Moment]:
    """The moment before the first step, then the one after each step."""
    replay = _Replay(trace, labels)
    return [replay.first(), *(replay.follow(index) for index in range(len(trace.steps)))]


class _Replay:
    """Follows the steps of one trace."""

    def __init__(self, trace: Trace, labels: Labels) -> None:
        self._trace = trace
        self._labels = labels
        self._cpus = [context.cpu for context in trace.contexts]
        self._begun: set[int] = set()
        self._queued: set[int] = set()
        self._over: dict[int, State] = {}
        self._waits: list[Wait] = []
        allocated = {step.result for step in trace.steps if opcode(step) in ALLOCATES}
        self._live = set(labels.bases) - allocated
        self._freed: set[int] = set()
        self._noted: dict[int, list[tuple[int, int]]] = {}
        self._ledgers = _before(trace, labels)

    def first(self) -> Moment:
        """What stands before the first step."""
        return self._moment(self._standings(-1))

    def follow(self, index: int) -> Moment:
        step, number = self._trace.steps[index], self._labels.actors[index]
        if number not in self._begun:
            self._waits = [replace(wait, taken=True) if wait.runs == number else wait for wait in self._waits]
        self._begun.add(number)
        self._cpus[number] = step.cpu
        if step.op == "migrate":
            self._cpus[number] = cpu_of_event(self._trace, step, number)
        self._memory(step)
        self._ledger(step, number)
        self._rcu(index, step, number)
        standings = self._standings(index)
        if step.op == "migrate_to" and number in standings:
            self._cpus[number] = standings[number].cpu
        self._end(step, number, standings)
        return self._moment(standings, self._ended_by_now(standings))

    def _standings(self, index: int) -> dict[int, Standing]:
        """How contexts stand after a step, by actor, as far as the trace says. Before the first step: -1."""
        if len(self._trace.standings) != len(self._trace.steps) + 1:
            return {}
        found = ((self._labels.actor_of(one.context, index + 1), one) for one in self._trace.standings[index + 1])
        return {actor: standing for actor, standing in found if actor is not None}

    def _moment(self, standings: Mapping[int, Standing], over: tuple[Wait, ...] = ()) -> Moment:
        states = tuple(self._state(number, standings.get(number)) for number in range(len(self._cpus)))
        live, freed = frozenset(self._live), frozenset(self._freed)
        return Moment(states, tuple(self._waits), live, freed, dict(self._ledgers), over)

    def _state(self, number: int, standing: Standing | None) -> ContextState:
        reader = standing is not None and standing.reader
        return ContextState(self._how(number, standing), self._cpus[number], reader)

    def _how(self, number: int, standing: Standing | None) -> State:
        if number in self._over:
            return self._over[number]
        if number not in self._begun:
            is_queued = standing is not None and self._trace.contexts[number].kind in ("callback", "work", "sent")
            return "queued" if is_queued else "not started"
        if self._is_waiting(number):
            return "waiting"
        obstacle = standing.obstacle if standing else None
        return _STATES.get(obstacle.reason, "ready") if obstacle else "ready"

    def _is_waiting(self, number: int) -> bool:
        """Whether an actor has begun a wait for RCU, and has not gone on since."""
        return any(wait.by == number and not wait.taken and _sleeps(wait.op) for wait in self._waits)

    def _end(self, step: Step, number: int, standings: Mapping[int, Standing]) -> None:
        """Contexts that are over after the step: its own, and those that went down with their CPU."""
        if step.ended:
            self._over[number] = "ended"
        if step.op in ("offline", "kill"):
            down: State = "offline" if step.op == "offline" else "killed"
            for actor, standing in standings.items():
                if standing.obstacle and standing.obstacle.reason == "over":
                    self._over.setdefault(actor, down)

    def _memory(self, step: Step) -> None:
        if opcode(step) in ALLOCATES and step.result:
            self._live.add(step.result)
        elif opcode(step) in FREES and step.args[0]:
            self._live.discard(step.args[0])
            self._freed.add(step.args[0])

    def _ledger(self, step: Step, number: int) -> None:
        if opcode(step) == i.LEDGER_ADD:
            self._noted.setdefault(number, []).append((step.args[0], step.args[1]))
        elif opcode(step) == i.LEDGER_COMMIT:
            for counter, delta in self._noted.pop(number, []):
                self._ledgers[counter] = self._ledgers.get(counter, 0) + delta

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
        if operation.opcode == i.CALL_RCU or is_two_steps(step):
            self._waits.append(Wait(index, number, step.op, actors, actors, runs))

    def _queue(self, index: int, step: Step) -> int | None:
        """The actor that a queued program will be; `call_rcu` gives the slot it was queued in first."""
        later = range(index + 1, len(self._trace.steps))
        found = (self._labels.actors[i] for i in later if step.args and self._trace.steps[i].context == step.args[0])
        runs = next(found, None)
        if runs is None and step.args:
            runs = self._labels.actor_of(step.args[0], index)
        if runs is None or runs in self._begun | self._queued:
            return None
        self._queued.add(runs)
        return runs

    def _ended_by_now(self, standings: Mapping[int, Standing]) -> tuple[Wait, ...]:
        """Update whom the waits still wait for; the waits that the engine says are over."""
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


def _before(trace: Trace, labels: Labels) -> dict[int, int]:
    """The ledgers before the first step: those at the end, less what the steps enter."""
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
    return definition(step) is not None and _sleeps(step.op)


def _sleeps(name: str) -> bool:
    operation = OPERATIONS[name]
    return operation.asks and operation.wait == "sleeps"


def cpu_of_event(trace: Trace, step: Step, actor: int) -> int | None:
    """Which CPU goes down or is moved to."""
    if step.args:
        return step.args[0]
    return step.cpu if step.op == "migrate" else trace.contexts[actor].cpu
