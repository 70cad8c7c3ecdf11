"""A schedule taken choice by choice: what each context would do next, and what keeps one from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from percpu_emu.explore.counterexample import tell_of, up_to_failure
from percpu_emu.explore.model import Model, OutOfRoom
from percpu_emu.explore.obstacles import obstacle_of
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.token import Token, digest, plain_choice, schedule_of
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import MIGRATE, context_of, fails, is_migration
from percpu_emu.lang.source import Site
from percpu_emu.lang.trace import Obstacle, Trace
from percpu_emu.lang.virtual import outcomes

LONGEST: Final = 2000
"""Steps that are taken; no bundled protocol needs a tenth of it."""
_T = TypeVar("_T")


class TooLong(ValueError):
    """A schedule of more steps than are taken here."""


@dataclass(frozen=True)
class Option:
    """What a context would do next: step `choice` of a schedule."""

    context: int
    choice: int
    op: str
    """Name of the operation; "offline" or "kill" for a CPU that goes, "migrate" for a move; "load" for the load of it
    alone, "fails" where it is an allocation that gives nothing."""
    site: Site | None
    obstacle: Obstacle | None

    @property
    def cpu(self) -> int:
        """Where a move leads."""
        return self.choice // MIGRATE - 1


@dataclass(frozen=True)
class Played:
    """A schedule so far. Every context of the setting is in the trace, also one that has not moved."""

    trace: Trace
    schedule: tuple[int, ...]
    options: tuple[Option, ...]
    preemptions: int


class Player:
    """Plays one subject. Its model is made once, so that a step takes a millisecond or two."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._model = Model(subject.setting, subject.checks)

    @property
    def digest(self) -> str:
        """Of its programs, as tokens have it."""
        return digest(self._model)

    def play(self, schedule: Sequence[int]) -> Played:
        """Take these choices from the start. Raises NotPossible for one that is not there, TooLong."""
        if len(schedule) > LONGEST:
            raise TooLong(f"{len(schedule)} steps, and at most {LONGEST} are taken")
        return self._with_room(lambda model: self._played(model, list(schedule)))

    def schedule_of(self, token: Token) -> list[int]:
        """The schedule that a token stands for. Raises BadToken."""
        return self._with_room(lambda model: up_to_failure(self.subject, model, schedule_of(model, token.departures)))

    def plain(self) -> list[int]:
        """The schedule in which each context goes on for as long as it can."""
        return self._with_room(_plain)

    def _with_room(self, act: Callable[[Model], _T]) -> _T:
        while True:
            try:
                return act(self._model)
            except OutOfRoom as error:
                if error.reason == outcomes.ENDLESS:
                    raise
                limits = self._model.limits.grown(error.reason)
                self._model = Model(self.subject.setting, self.subject.checks, limits)

    def _played(self, model: Model, schedule: list[int]) -> Played:
        stepper = Stepper(model).run(schedule)
        stepper.meet_everyone()
        options = () if stepper.violated else tuple(_options(stepper))
        example = tell_of(self.subject, stepper, schedule)
        return Played(example.trace, tuple(schedule), options, example.preemptions)


def _plain(model: Model) -> list[int]:
    stepper, schedule = Stepper(model), list[int]()
    while len(schedule) < LONGEST and (choice := plain_choice(stepper)) is not None:
        stepper.take(choice)
        schedule.append(choice)
    return schedule


def _options(stepper: Stepper) -> Iterator[Option]:
    moves = [choice for choice in stepper.choices() if choice >= MIGRATE]
    for context in stepper.contexts():
        op, site = stepper.ahead(context)
        yield Option(context, context, op, site, obstacle_of(stepper, context))
        for move in moves:
            if context_of(move) == context:
                kind = "migrate" if is_migration(move) else "fails" if fails(move) else "load"
                yield Option(context, move, kind, None if kind == "migrate" else site, None)
