"""A schedule to ask about: the smallest that breaks the scenario, or one drawn at random."""

from __future__ import annotations

import random
from typing import Final

from percpu_emu.explore.counterexample import smallest, tell
from percpu_emu.explore.model import Model
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Budget
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.trace import Trace

MAX_STEPS: Final = 400
STAYS: Final = 0.7
"""The chance that the context which did the last step does the next one, too."""
SECONDS: Final = 20.0


def quiz_trace(subject: Subject, seed: int | None) -> Trace:
    """With a seed a random schedule; without one the smallest counterexample, where there is one."""
    example = smallest(subject, Budget(seconds=SECONDS)) if seed is None else None
    if example is not None:
        return example.trace
    trace: Trace = with_room(subject.setting, subject.checks, lambda model: _drawn(subject, model, seed or 1))
    return trace


def _drawn(subject: Subject, model: Model, seed: int) -> Trace:
    chance, stepper, schedule = random.Random(seed), Stepper(model), list[int]()
    while (choices := stepper.choices()) and len(schedule) < MAX_STEPS:
        last = schedule[-1] if schedule else -1
        choice = last if last in choices and chance.random() < STAYS else chance.choice(choices)
        stepper.take(choice)
        schedule.append(choice)
    return tell(subject, model, schedule).trace
