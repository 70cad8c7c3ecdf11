"""The smallest counterexample: fewest preemptions, then fewest steps, then fewest CPUs and updates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from percpu_emu.explore.blame import blame
from percpu_emu.explore.model import Model, SetupFailed
from percpu_emu.explore.search import Budget, Search, with_room
from percpu_emu.explore.subject import Judge, StateView, Subject
from percpu_emu.explore.token import Token, departures_of, digest
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import MIGRATE
from percpu_emu.lang.trace import Trace


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
    """The smallest that there is within the budget, its time for all searches together; None if there is none."""
    deadline = time.monotonic() + budget.seconds
    best = _least(subject, budget)
    if best is None or best.check in ("final", "invariant"):
        return best  # what the user's check expects is about the whole of the scenario
    turns = subject.turns or tuple(spec.turns for spec in subject.setting.contexts)
    smaller = True
    while smaller:
        smaller = False
        for fewer in _fewer(subject, turns, best):
            left = deadline - time.monotonic()
            if left <= 0:
                return best
            other = _least(subject.with_turns(fewer), replace(budget, seconds=left))
            if other and other.check == best.check and _size(other) <= _size(best):
                best, turns, smaller = other, fewer, True
                break
    return best


def _size(example: Counterexample) -> tuple[int, int]:
    return example.preemptions, len(example.schedule)


def _fewer(subject: Subject, turns: tuple[int, ...], best: Counterexample) -> Iterator[tuple[int, ...]]:
    """One context left out, or with half of its turns, or with one less.

    Left out is only who does nothing in the counterexample, or what somebody else does, too: without the one who
    releases, say, everything leaks, and that is not the bug that was found.
    """
    programs = [spec.program for spec, n in zip(subject.setting.contexts, turns, strict=True) if n]
    kept = [at for at, n in enumerate(turns) if n]
    acting = {choice % MIGRATE for choice in best.schedule}
    for number, at in enumerate(kept):
        if len(kept) > 1 and (number not in acting or programs.count(programs[number]) > 1):
            yield (*turns[:at], 0, *turns[at + 1 :])
    for at in kept:
        for n in dict.fromkeys((turns[at] // 2, turns[at] - 1)):
            if n > 0:
                yield (*turns[:at], n, *turns[at + 1 :])


def _least(subject: Subject, budget: Budget) -> Counterexample | None:
    def search(model: Model) -> Counterexample | None:
        deepening = Search(model, reduce=subject.reducible, budget=budget, judges=judges_of(subject, model))
        found = deepening.least_preempted()
        if found is None:
            return None
        return tell(subject, model, list(found.schedule), found.detail)

    example: Counterexample | None = with_room(subject.setting, subject.checks, search)
    return example


def judges_of(subject: Subject, model: Model) -> tuple[tuple[str, bool, Callable[..., str | None]], ...]:
    """A subject's own checks, for a search."""
    named = (("final", False, subject.final), ("invariant", True, subject.invariant))
    return tuple(
        (name, every, lambda state, name=name, judge=judge: _judged(name, judge, StateView(subject, model, state)))
        for name, every, judge in named
        if judge is not None
    )


def _judged(name: str, judge: Judge, view: StateView) -> str | None:
    """What a user's check says of a state. Raises SetupFailed where it fails, or says something else."""
    try:
        said: object = judge(view)
    except Exception as error:
        raise SetupFailed(
            f"explore.{name}: {type(error).__name__}: {error}, where a sentence or None is needed"
        ) from error
    if said is not None and not isinstance(said, str):
        raise SetupFailed(f"explore.{name}: gave {said!r:.60}, allowed: a sentence, or None")
    return said


def tell(subject: Subject, model: Model, schedule: list[int], detail: str = "") -> Counterexample:
    """The counterexample that a schedule is: replayed in the model, with what is wrong at its end."""
    return tell_of(subject, Stepper(model).run(schedule), schedule, detail)


def tell_of(subject: Subject, stepper: Stepper, schedule: list[int], detail: str = "") -> Counterexample:
    """The same of a stepper that has taken the schedule."""
    model = stepper.model
    check = stepper.finish()
    if not check:
        for name, every, wrong in judges_of(subject, model):
            if (every or stepper.is_final) and (said := wrong(stepper.state[: model.size])):
                check, detail = name, said
    violation = blame(subject, stepper, check, detail) if check else None
    token = str(Token(subject.name, departures_of(model, schedule), digest(model), subject.turns, subject.cpus))
    trace = Trace(
        scenario=subject.name,
        summary=subject.summary,
        contexts=list(stepper.actors.values()),
        steps=stepper.steps,
        names=subject.names,
        initial=model.words(model.initial),
        ledgers=stepper.ledgers(),
        violation=violation,
        missing=subject.missing,
        token=token,
    )
    return Counterexample(subject, check, tuple(schedule), preemptions(model, schedule), trace, token)


def preemptions(model: Model, schedule: list[int]) -> int:
    """How often a schedule takes the turn from a context that could have gone on."""
    stepper, count = Stepper(model), 0
    for choice in schedule:
        last = stepper.steps[-1].context if stepper.steps else None
        if last is not None and (choice >= MIGRATE or choice != last):
            count += choice >= MIGRATE or last in stepper.choices()
        stepper.take(choice)
    return count
