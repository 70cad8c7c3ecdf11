"""Exploring a subject: by which strategy, how far, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from percpu_emu.explore.confirming import Confirmation, confirm
from percpu_emu.explore.counterexample import Counterexample, judges_of, shrunk, tell
from percpu_emu.explore.model import Model, OutOfRoom
from percpu_emu.explore.random_search import random_schedules
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Budget, Search
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.explore.waiting import name_of_word
from percpu_emu.lang.setting import MAX_NUMBERS
from percpu_emu.lang.virtual import layout, outcomes

Strategy: TypeAlias = Literal["exhaustive", "preemptions", "pct", "random"]


@dataclass(frozen=True)
class Options:
    """How to explore."""

    strategy: Strategy = "exhaustive"
    budget: Budget = field(default_factory=Budget)
    preemptions: int | None = None
    """For "preemptions": how many at most."""
    schedules: int = 100_000
    """For "pct" and "random"."""
    depth: int = 3
    """For "pct": of the bugs that are looked for, the number of orderings that have to come together."""
    seed: int = 1
    reduce: bool = True
    confirm_seconds: float = 1.0
    """So long the plain search may take that confirms a reduced one; 0 for none."""
    prefix: tuple[int, ...] = ()
    """A schedule that is taken first; the strategy goes on from there."""


@dataclass(frozen=True)
class Explored:
    """What came of it."""

    subject: Subject
    options: Options
    complete: bool
    """Whether every interleaving within the scope was covered."""
    stopped: str
    """Why it is not complete."""
    counterexample: Counterexample | None
    figures: dict[str, Any]
    reduction: dict[str, Any]
    unreached: tuple[str, ...]
    """Marks that had to be reached and were not."""
    not_taken: tuple[str, ...] = ()
    """Steps after which a check looks, and that were never taken."""


def explore(subject: Subject, options: Options, progress: Callable[[Search], None] | None = None) -> Explored:
    """Explore. Raises `SetupFailed` where the setup is wrong, `Refused` for a program that is not in the language."""

    def search(model: Model) -> Explored:
        if options.prefix:
            model.initial = Stepper(model).run(options.prefix).state[: model.size].copy()
        if options.strategy in ("pct", "random"):
            return _by_random_schedules(subject, options, model)
        return _by_search(subject, options, model, progress)

    start = time.perf_counter()
    try:
        explored: Explored = with_room(subject.setting, subject.checks, search)
    except OutOfRoom as error:
        explored = _gave_up(subject, options, error)
    explored.figures["seconds"] = round(time.perf_counter() - start, 6)
    return explored


def _gave_up(subject: Subject, options: Options, error: OutOfRoom) -> Explored:
    reasons = {
        outcomes.ENDLESS: "a context goes on for ever without a step that another could notice",
        outcomes.NO_CALLBACK: f"more than {MAX_NUMBERS} contexts and pending callbacks",
        outcomes.MANY_REGIONS: f"a reader holds one of more than {layout.MAX_HELD} areas and objects",
    }
    if error.reason == outcomes.UNKNOWN:
        raise NotImplementedError("an instruction that the virtual engine does not know") from error
    reason = reasons[error.reason]
    return Explored(subject, options, False, reason, None, {"executions": None, "states": 0, "steps": 0}, {}, ())


def _by_search(subject: Subject, options: Options, model: Model, progress: Callable[[Search], None] | None) -> Explored:
    reduce = options.reduce and subject.reducible
    judges = judges_of(subject, model)
    search = Search(model, reduce, options.budget, progress, judges, subject.fair, options.preemptions)
    deepening = options.strategy == "preemptions"
    found = search.least_preempted() if deepening else next(iter(search.run()), None)
    figures = {
        "executions": None if found or search.cycles() else search.executions(),
        "states": search.states,
        "steps": search.steps,
        "search_seconds": round(search.seconds, 6),
        "megabytes": round(search.megabytes, 1),
    }
    confirmed = Confirmation()
    if found is None and not search.stopped and reduce and not deepening and options.confirm_seconds:
        confirmed = confirm(subject, model, options.confirm_seconds)
        found = confirmed.found
    example = shrunk(subject, model, found, options.budget) if found else None
    if deepening:
        figures["preemptions"] = search.reached - (0 if search.stopped else 1)
    return Explored(
        subject,
        options,
        complete=not search.stopped,
        stopped=search.stopped,
        counterexample=example,
        figures=figures,
        reduction={
            "on": reduce,
            "rounds": search.rounds,
            "conflicting_words": search.conflicting_words,
            "confirmed": confirmed.states,
            "fair": search.cycles(),
            "remote_words": [name_of_word(subject, address) for address in model.remote_words()],
        },
        unreached=_unreached(subject, search.marks),
        not_taken=tuple(after.step for after in subject.after if after.step not in search.happened),
    )


def _by_random_schedules(subject: Subject, options: Options, model: Model) -> Explored:
    walked = random_schedules(
        model,
        schedules=options.schedules,
        seconds=options.budget.seconds,
        seed=options.seed,
        depth=options.depth if options.strategy == "pct" else None,
    )
    example = None
    if walked.first is not None:
        example = tell(subject, model, list(walked.first.schedule))
    figures = {
        "executions": walked.schedules,
        "states": 0,
        "steps": walked.steps,
        "search_seconds": round(walked.seconds, 6),
        "violations": walked.violations,
    }
    stopped = f"{walked.schedules} random schedules: not exhaustive"
    return Explored(
        subject, options, False, stopped, example, figures, {"on": False}, _unreached(subject, walked.marks)
    )


def _unreached(subject: Subject, marks: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in subject.sometimes if name not in marks)
