"""From what a native run recorded to a schedule that can be replayed: followed in the virtual engine, then searched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from percpu_emu.explore.counterexample import Counterexample, smallest, tell
from percpu_emu.explore.model import Model, OutOfRoom
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Explored, Options, explore
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import MIGRATE
from percpu_emu.lang.source import Site
from percpu_emu.lang.virtual import layout
from percpu_emu.machine.recording import CALLBACK, Recorded
from percpu_emu.shm.atomics import X86_64

SECONDS: Final = 20.0
"""For all searches together."""
MEGABYTES: Final = 1024
MAX_STEPS: Final = 20_000
_HALVES: Final = 4
"""How often the recorded order is made shorter by half before it is given up."""
_AT_ONE_SITE: Final = 4
"""Steps that a context may need to get to the recorded operation: a wait for RCU takes two."""


@dataclass(frozen=True)
class Explanation:
    """A schedule that breaks a check in the model, None where there is none; how it was found, or what was tried."""

    counterexample: Counterexample | None
    note: str
    followed: int = 0
    """How many of the recorded operations the model could follow."""


def explain(subject: Subject, recorded: Sequence[Recorded], seconds: float = SECONDS) -> Explanation:
    """Follow the recorded order; search from it, shorter and shorter; minimise what was found."""
    deadline = time.monotonic() + seconds
    schedule: tuple[int, ...] = ()
    followed = 0
    if recorded:
        try:
            schedule, followed, example = with_room(
                subject.setting, subject.checks, lambda m: _follow(subject, m, recorded)
            )
        except OutOfRoom:
            return _searched(subject, recorded, (), 0, deadline)
        if example is not None:
            note = f"the recorded order itself breaks the check, {followed} of {len(recorded)} operations as recorded"
            return Explanation(_minimised(example, subject, deadline), note, followed)
    return _searched(subject, recorded, schedule, followed, deadline)


def _searched(
    subject: Subject, recorded: Sequence[Recorded], schedule: tuple[int, ...], followed: int, deadline: float
) -> Explanation:
    lengths = [length for halved in range(_HALVES + 1) if (length := len(schedule) >> halved)]
    explored: Explored | None = None
    for number, length in enumerate([*lengths, 0]):
        left = max(1.0, (deadline - time.monotonic()) / (len(lengths) + 1 - number))
        explored = explore(subject, Options(budget=Budget(seconds=left, megabytes=MEGABYTES), prefix=schedule[:length]))
        if explored.counterexample is not None:
            where = (
                f"from the first {length} recorded steps" if length else "from the start, not from what was recorded"
            )
            return Explanation(
                _minimised(explored.counterexample, subject, deadline), f"found by search {where}", followed
            )
    assert explored is not None
    if explored.complete:
        checked = _told_apart(recorded, followed)
        why = f"no interleaving of the model breaks a check, and the search is complete. {checked}"
    else:
        why = f"the search is not complete ({explored.stopped})"
    return Explanation(None, f"none found: {why}", followed)


# --- where a run contradicts the search


def _told_apart(recorded: Sequence[Recorded], followed: int) -> str:
    """What was checked of whether the processor's memory ordering can be the cause, or this program is wrong."""
    if not recorded:
        return (
            "Checked: the rounds that are recorded, in which a full barrier stands before every operation, do not show "
            "it. Memory ordering is possible, and not proved"
        )
    tried = f"The model follows {followed} of {len(recorded)} recorded operations"
    if not X86_64:
        return f"{tried}. Not checked: whether this processor has reordered them"
    return (
        f"{tried}. Checked: in a recorded round a LOCKed instruction stands before every operation, so the processor "
        "has not reordered them: percpu-emu is wrong, in the model or in the native run"
    )


def _minimised(example: Counterexample, subject: Subject, deadline: float) -> Counterexample:
    smaller = smallest(subject, Budget(seconds=max(2.0, deadline - time.monotonic()), megabytes=MEGABYTES))
    return smaller if smaller is not None and smaller.check == example.check else example


# --- following


def _follow(
    subject: Subject, model: Model, recorded: Sequence[Recorded]
) -> tuple[tuple[int, ...], int, Counterexample | None]:
    """The schedule that comes nearest to the recorded order, how much of that it has, and the counterexample it is."""
    follower = _Follower(model)
    followed = sum(follower.follow(event) for event in recorded)
    schedule = tuple(follower.schedule)  # what comes now was not recorded
    follower.finish()
    check = follower.stepper.finish()
    example = tell(subject, model, follower.schedule)
    return schedule, followed, example if check or example.check else None


class _Follower:
    """Takes steps as they were recorded where the model can, and leaves out what it cannot do."""

    def __init__(self, model: Model) -> None:
        self.stepper = Stepper(model)
        self.schedule: list[int] = []
        self._model = model

    def follow(self, event: Recorded) -> bool:
        """Do a recorded operation, with the unrecorded steps in front of it; whether it could be done."""
        for _ in range(_AT_ONE_SITE):
            choices = self.stepper.choices()
            context = self._callback(event.site, choices) if event.context == CALLBACK else event.context
            if context not in choices:
                return False
            there = self._site(context) == event.site
            self._take(context)
            if there:
                return True
        return False

    def finish(self) -> None:
        """Go on, one context after another, until everything has run."""
        while self.stepper.choices() and not self.stepper.is_final and len(self.schedule) < MAX_STEPS:
            steps = [choice for choice in self.stepper.choices() if choice < MIGRATE]
            due = [choice for choice in steps if self.stepper.must_run(choice)]
            if not (due or steps):
                return
            last = self.schedule[-1] if self.schedule else -1
            self._take(last if last in due else min(due or steps))

    def _take(self, choice: int) -> None:
        self.stepper.take(choice)
        self.schedule.append(choice)

    def _site(self, context: int) -> Site | None:
        pc = int(self.stepper.state[self._model.block(context) + layout.PC])
        return self._model.code.sites.get(pc)

    def _callback(self, site: Site, choices: Sequence[int]) -> int:
        """The number of a callback that stands at a site; -1 if there is none."""
        callbacks = [n for n in choices if len(self._model.setting.contexts) <= n < MIGRATE]
        return next((n for n in callbacks if self._site(n) == site), -1)
