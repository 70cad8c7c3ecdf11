"""The plain search confirms the reduced one where it ends soon: every step in every order, without any argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from percpu_emu.explore.counterexample import judges_of
from percpu_emu.explore.model import Model, OutOfRoom
from percpu_emu.explore.search import Budget, Found, Search
from percpu_emu.explore.subject import Subject

MAX_STATES: Final = 2_000_000
MEGABYTES: Final = 1024


@dataclass(frozen=True)
class Confirmation:
    """What the plain search made of a reduced one that found nothing."""

    states: int | None = None
    """How many states it found, all of them; None where it did not end."""
    found: Found | None = None
    """A violation that the reduced search does not have."""


def confirm(subject: Subject, model: Model, seconds: float) -> Confirmation:
    """Search without reduction, for so long. Raises OutOfRoom for a model that needs more room than the reduced one.

    Counters are looked at after every callback here, whatever the reduction left out between.
    """
    budget = Budget(states=MAX_STATES, seconds=seconds, megabytes=MEGABYTES)
    plain = Search(model, reduce=False, budget=budget, judges=judges_of(subject, model))
    try:
        found = plain.run()
    except OutOfRoom:
        return Confirmation()
    if found:
        return Confirmation(found=found[0])
    return Confirmation() if plain.stopped else Confirmation(states=plain.states)
