"""The counterexample of a violation: fewest preemptions, then fewest steps, of the scenario as it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from percpu_emu.explore.blame import blame
from percpu_emu.explore.judge import Judge, said_by
from percpu_emu.explore.judging import OwnCheck, said_after
from percpu_emu.explore.model import Model, OutOfRoom, Words
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
        judges = judges_of(subject, model)
        first = Search(model, subject.reducible, budget, judges=judges, fair=subject.fair).run()
        return shrunk(subject, model, first[0], budget) if first else None

    example: Counterexample | None = with_room(subject.setting, subject.checks, search)
    return example


def shrunk(subject: Subject, model: Model, found: Found, budget: Budget) -> Counterexample:
    """The smallest counterexample of the scenario, whatever its check; the found one where the budget ends before."""
    if found.check == "livelock":
        schedule = with_cycle(model, list(found.schedule))
        return tell_of(subject, Stepper(model).run(schedule), schedule, Found(found.check, tuple(schedule)))
    first = tell(subject, model, list(found.schedule), found)
    if found.check in ("circular-wait", "starvation"):
        return first
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


def judges_of(subject: Subject, model: Model) -> tuple[OwnCheck, ...]:
    """A subject's own checks, for a search."""

    def saying(name: str, judge: Judge) -> Callable[[Words], str | None]:
        return lambda state: said_by(name, judge, ModelState(subject, model, state))

    checks = []
    if subject.invariant is not None:
        checks.append(OwnCheck("invariant", "every state", saying("invariant", subject.invariant)))
    if subject.final is not None:
        checks.append(OwnCheck("final", "the end", saying("final", subject.final)))
    for after in subject.after:
        said = saying(f"after.{after.step}", after.judge)
        checks.append(OwnCheck("after", "a step", said, after.step, after.sites))
    return tuple(checks)


def own_failure(subject: Subject, stepper: Stepper) -> tuple[str, str]:
    """The check of the scenario's own that fails where a stepper stands, and what it says; "" for none."""
    site, final = stepper.done, stepper.is_final
    for own in judges_of(subject, stepper.model):
        if own.looks(final=final, site=site) and (said := own.wrong(stepper.state[: stepper.model.size])):
            return own.check, said_after(site, said) if site and own.when == "a step" else said
    return "", ""


def up_to_failure(subject: Subject, model: Model, schedule: Sequence[int]) -> list[int]:
    """A schedule up to the first state that a check fails which looks at states on the way: a token's goes on."""
    on_the_way = ("error-bound", "circular-wait", "invariant", "after")
    if subject.reducible and not model.code.locking:
        return list(schedule)
    stepper = Stepper(model)
    for number, choice in enumerate(schedule):
        if (stepper.finish() or own_failure(subject, stepper)[0]) in on_the_way:
            return list(schedule[:number])
        stepper.take(choice)
    return list(schedule)


def tell(subject: Subject, model: Model, schedule: list[int], found: Found | None = None) -> Counterexample:
    """The counterexample that a schedule is: replayed in the model, with what is wrong at its end."""
    return tell_of(subject, Stepper(model).run(schedule), schedule, found)


def tell_of(subject: Subject, stepper: Stepper, schedule: list[int], found: Found | None = None) -> Counterexample:
    """The same of a stepper that has taken the schedule; `found`: what a search found at its end."""
    model = stepper.model
    check, detail = stepper.finish(), found.detail if found else ""
    if not check:
        check, said = own_failure(subject, stepper)
        detail = said or detail
    check = check or (found.check if found else "")
    violation = blame(subject, stepper, check, detail, found) if check else None
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
