"""A schedule in which all orders of a circle of locks happen, one after the other; and the sentence about them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from percpu_emu.explore.lock_order import Order, Taking, circle_in
from percpu_emu.explore.tracing import Stepper
from percpu_emu.explore.waiting import name_of_context, name_of_word
from percpu_emu.lang.setting import MIGRATE

if TYPE_CHECKING:
    from percpu_emu.explore.model import Model
    from percpu_emu.explore.subject import Subject

MOST_STEPS: Final = 2000
MOST_TRIES: Final = 24


def showing(model: Model, circle: Sequence[Order]) -> tuple[int, ...]:
    """The steps up to the last of the circle's takings, contexts one after the other where that shows them all.

    Where one execution does not have them all, one that has as many as were found together.
    """
    wanted = list(dict.fromkeys(taking for order in circle for taking in order.takings))
    found: list[int] = []
    most = 0
    for order in itertools.islice(itertools.permutations(wanted), MOST_TRIES):
        schedule, seen = _one_after_the_other(model, order)
        if len(seen) > most or (len(seen) == most and len(schedule) < len(found)):
            found, most = schedule, len(seen)
    return tuple(found)


def _one_after_the_other(model: Model, wanted: Sequence[Taking]) -> tuple[list[int], set[Taking]]:
    """Each context goes on until it has taken its lock and ended its turn; where it waits, the others go on."""
    stepper, schedule, seen, last = Stepper(model), list[int](), set[Taking](), 0
    for taking in wanted:
        while len(schedule) < MOST_STEPS and not (taking in seen and _is_free(stepper, taking.context)):
            choice = _next(stepper, taking.context)
            if choice is None:
                break
            stepper.take(choice)
            schedule.append(choice)
            new = {noted for _, noted in stepper.takings if noted in wanted} - seen
            seen, last = seen | new, len(schedule) if new else last
            if len(seen) == len(wanted):
                return schedule, seen
    return schedule[:last], seen


def _is_free(stepper: Stepper, context: int) -> bool:
    """Whether a context stands between two turns, or is over."""
    return not stepper.is_mid_turn(context)


def _next(stepper: Stepper, context: int) -> int | None:
    """The context itself, or one that it may wait for."""
    steps = [choice for choice in stepper.choices() if choice < MIGRATE]
    if context in steps:
        return context
    due = [choice for choice in steps if stepper.must_run(choice)]
    return min(due, default=None)


# --- for people


def circle_of(stepper: Stepper) -> tuple[Order, ...]:
    """The circle in which a stepper's contexts have taken locks so far."""
    return circle_in(taking for _, taking in stepper.takings)


def steps_of(stepper: Stepper, circle: Sequence[Order]) -> tuple[int, ...]:
    """The steps in which its locks are taken, the one that is held and the one that is waited for."""
    wanted = {(t.context, t.row) for order in circle for t in order.takings}
    held = {(order.first.context, row) for order in circle for lock, row in order.first.held if lock == order.before}
    return tuple(number for number, taking in stepper.takings if (taking.context, taking.row) in wanted | held)


def said_of(subject: Subject, stepper: Stepper, circle: Sequence[Order]) -> str:
    """Every order of a circle: who takes which lock where, and since where it holds the other one."""
    return "; ".join(_said(subject, stepper, order) for order in circle)


def _said(subject: Subject, stepper: Stepper, order: Order) -> str:
    before, after = (_lock(subject, lock) for lock in (order.before, order.after))
    taking = order.second or order.first
    who, where = name_of_context(subject, stepper, taking.context), _place(stepper, taking.row)
    if order.second is None:
        since = dict(order.first.held)[order.before]
        return f"{who} takes {after} at {where} while it holds {before}, taken at {_place(stepper, since)}"
    first = order.first
    since = {**dict(first.held), **({} if first.lock is None else {first.lock: first.row})}[order.before]
    holder = name_of_context(subject, stepper, first.context)
    return (
        f"{who} takes {after} at {where} in an interrupt, and {holder} holds {before} with interrupts on, taken at "
        f"{_place(stepper, since)}"
    )


def _lock(subject: Subject, lock: int) -> str:
    """A lock by its first word, without the name of the field."""
    return name_of_word(subject, lock).removesuffix(".owner").removesuffix(".locked").removesuffix(".next")


def _place(stepper: Stepper, row: int) -> str:
    _, call = stepper.model.code.locking[row]
    return str(call)
