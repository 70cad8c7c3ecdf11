"""The counterexample of a violation: fewest preemptions, then fewest steps, of the scenario as it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from percpu_emu.explore.blame import blame
from percpu_emu.explore.judge import said_by
from percpu_emu.explore.model import Model, OutOfRoom
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Budget, Found, Search
from percpu_emu.explore.subject import ModelState, Subject
from percpu_emu.explore.token import Token, departures_of, digest
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import context_of, is_migration
from percpu_emu.lang.trace import Trace

SHRINK_SECONDS: Final = 2.0
"""At most so long a search for a smaller counterexample takes; the first one is kept where it finds none."""
MAX_ROUNDS: Final = 256
"""Rounds in which all contexts take a step, until a livelock has come back to where it was."""


@dataclass(frozen=True)
class Counterexample:
    """A schedule that violates a check, told as a trace."""

    subject: Subject
    check: str
    schedule: tuple[int, ...]
    preemptions: int
    trace: Trace
    token: str


def smallest(subject: Subject, budget: Budget) -> Counterexample | None:
    """The smallest that there is within the budget; None if there is none."""

    def search(model: Model) -> Counterexample | None:
        first = Search(model, subject.reducible, budget, judges=judges_of(subject, model)).run()
        return shrunk(subject, model, first[0], budget) if first else None

    example: Counterexample | None = with_room(subject.setting, subject.checks, search)
    return example


def shrunk(subject: Subject, model: Model, found: Found, budget: Budget) -> Counterexample:
    """The smallest counterexample of the scenario, whatever its check; the found one where the budget ends before."""
    if found.check == "livelock":
        schedule = with_cycle(model, list(found.schedule))
        return tell_of(subject, Stepper(model).run(schedule), schedule, Found(found.check, tuple(schedule)))
    first = tell(subject, model, list(found.schedule), found)
    seconds = min(SHRINK_SECONDS, budget.seconds)
    judges = judges_of(subject, model)
    try:
        plain = Search(model, reduce=False, budget=replace(budget, seconds=seconds), judges=judges)
        smaller = plain.fewest_steps(first.preemptions)
        if smaller is None:
            reduced = Search(model, subject.reducible, replace(budget, seconds=seconds), judges=judges)
            smaller = reduced.least_preempted()
    except OutOfRoom:
        return first
    if smaller is None:
        return first
    other = tell(subject, model, list(smaller.schedule), smaller)
    return min(first, other, key=lambda example: (example.preemptions, len(example.schedule)))


def with_cycle(model: Model, schedule: list[int]) -> list[int]:
    """A schedule into a livelock, and on until every context has taken its steps and all stands as it did before."""
    stepper, seen = Stepper(model).run(schedule), dict[bytes, int]()
    longer = list(schedule)
    for _ in range(MAX_ROUNDS):
        key = stepper.state[: model.size].tobytes()
        if key in seen or stepper.violated:
            break
        seen[key] = len(longer)
        for context in stepper.contexts():
            if context in stepper.choices():
                stepper.take(context)
                longer.append(context)
    return longer


def judges_of(subject: Subject, model: Model) -> tuple[tuple[str, bool, Callable[..., str | None]], ...]:
    """A subject's own checks, for a search."""
    named = (("final", False, subject.final), ("invariant", True, subject.invariant))
    return tuple(
        (name, every, lambda state, name=name, judge=judge: said_by(name, judge, ModelState(subject, model, state)))
        for name, every, judge in named
        if judge is not None
    )


def tell(subject: Subject, model: Model, schedule: list[int], found: Found | None = None) -> Counterexample:
    """The counterexample that a schedule is: replayed in the model, with what is wrong at its end."""
    return tell_of(subject, Stepper(model).run(schedule), schedule, found)


def tell_of(subject: Subject, stepper: Stepper, schedule: list[int], found: Found | None = None) -> Counterexample:
    """The same of a stepper that has taken the schedule; `found`: what a search found at its end."""
    model = stepper.model
    check, detail = stepper.finish(), found.detail if found else ""
    if not check:
        for name, every, wrong in judges_of(subject, model):
            if (every or stepper.is_final) and (said := wrong(stepper.state[: model.size])):
                check, detail = name, said
    check = check or (found.check if found else "")
    violation = blame(subject, stepper, check, detail) if check else None
    token = str(Token(subject.name, departures_of(model, schedule), digest(model), subject.turns, subject.cpus))
    trace = Trace(
        scenario=subject.name,
        summary=subject.summary,
        contexts=list(stepper.actors.values()),
        steps=stepper.steps,
        names={**subject.naming.named(stepper.steps), **subject.names},
        initial=model.words(model.initial),
        ledgers=stepper.ledgers(),
        violation=violation,
        standings=stepper.standings,
        missing=subject.missing,
        token=token,
        file=subject.file,
    )
    return Counterexample(subject, check, tuple(schedule), preemptions(model, schedule), trace, token)


def preemptions(model: Model, schedule: list[int]) -> int:
    """How often a schedule takes the turn from a context that could have gone on."""
    stepper, count = Stepper(model), 0
    for choice in schedule:
        last = stepper.steps[-1].context if stepper.steps else None
        if last is not None and (is_migration(choice) or context_of(choice) != last):
            count += is_migration(choice) or last in stepper.choices()
        stepper.take(choice)
    return count
