"""Tokens: a schedule in a few characters, which can be pasted into a bug report.

    flush-then-swap:a1s0.k3Xq

A schedule is given by where it departs from the plain one, in which a context goes on for as long as it can and then
the lowest-numbered one that can: "after 10 steps context 1, after 28 more context 0". `-` stands before a move to
another CPU, `=` before the load of a read-modify-write that other CPUs see in two halves, `,` before an allocation
that fails. Before the colon stands the scenario, with what was changed (`+2110`: turns of each context, `~4`: CPUs);
after the dot, a digest of all that is replayed. A token of a later format than the first ends in its number: `@2`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from percpu_emu.explore.model import Model
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import FAIL, HALF, MIGRATE, fails, is_half, is_migration

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MORE: Final = "_"
_MOVES: Final = "-"
_HALVES: Final = "="
_FAILS: Final = ","
_FORM: Final = re.compile(
    r"(?P<scenario>[a-z0-9-]+)(\+(?P<turns>[0-9a-zA-Z]+))?(~(?P<cpus>\d+))?:(?P<departures>[-=,_0-9a-zA-Z]*)\.(?P<digest>\w{4})(@\d{1,4})?"
)
FORMAT: Final = 1
"""Of the tokens that are written: how a schedule is spelled, how contexts are numbered, what the digest is taken of.

A change of one of these is a new format. `tests/explore/test_old_tokens.py` has tokens of each.
"""
MAX_STEPS: Final = 100_000


class BadToken(ValueError):
    """Not a token, or one of other programs."""


@dataclass(frozen=True)
class Token:
    """A token's parts."""

    scenario: str
    departures: tuple[tuple[int, int], ...]
    digest: str
    turns: tuple[int, ...] | None = None
    cpus: int | None = None

    def __str__(self) -> str:
        head = self.scenario
        if self.turns is not None:
            head += "+" + "".join(DIGITS[min(n, len(DIGITS) - 1)] for n in self.turns)
        if self.cpus is not None:
            head += f"~{self.cpus}"
        return f"{head}:{''.join(map(_encoded, self.departures))}.{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """The parts of a token. Raises BadToken."""
        number = re.search(r"@(\d{1,4})$", text.strip())
        if number and int(number[1]) != FORMAT:
            raise BadToken(f"{text!r} is a token of format {number[1]}; this version reads format {FORMAT}")
        form = _FORM.fullmatch(text.strip())
        if form is None:
            raise BadToken(f"{text!r} is not a token; one looks like flush-then-swap:a1s0.k3Xq")
        turns, cpus = form["turns"], form["cpus"]
        return cls(
            form["scenario"],
            tuple(_decoded(form["departures"], text)),
            form["digest"],
            tuple(map(DIGITS.index, turns)) if turns else None,
            int(cpus) if cpus else None,
        )


def _encoded(departure: tuple[int, int]) -> str:
    steps, choice = departure
    text = _MORE * (steps // len(DIGITS)) + DIGITS[steps % len(DIGITS)]
    if is_migration(choice):
        text += _MOVES + DIGITS[choice // MIGRATE - 1]
    elif is_half(choice):
        text += _HALVES
    elif fails(choice):
        text += _FAILS
    return text + DIGITS[choice % MIGRATE]


def _decoded(text: str, whole: str) -> list[tuple[int, int]]:
    departures, at = [], 0
    try:
        while at < len(text):
            steps = 0
            while text[at] == _MORE:
                steps, at = steps + len(DIGITS), at + 1
            steps, at = steps + DIGITS.index(text[at]), at + 1
            choice = 0
            if text[at] == _MOVES:
                choice, at = MIGRATE * (DIGITS.index(text[at + 1]) + 1), at + 2
            elif text[at] == _HALVES:
                choice, at = HALF, at + 1
            elif text[at] == _FAILS:
                choice, at = FAIL, at + 1
            departures.append((steps, choice + DIGITS.index(text[at])))
            at += 1
    except (IndexError, ValueError) as error:
        raise BadToken(f"{whole!r} is not a token: its schedule is cut short") from error
    return departures


def digest(model: Model) -> str:
    """Four characters that another version of the programs, or another setting, does not have."""
    value = zlib.crc32(repr(model.fingerprint).encode())
    return "".join(DIGITS[value // len(DIGITS) ** place % len(DIGITS)] for place in range(4))


def departures_of(model: Model, schedule: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Where a schedule departs from the plain one: (steps since the last departure, choice)."""
    stepper, found, since = Stepper(model), [], 0
    for choice in schedule:
        if choice != plain_choice(stepper):
            found.append((since, choice))
            since = 0
        stepper.take(choice)
        since += 1
    return tuple(found)


def schedule_of(model: Model, departures: Sequence[tuple[int, int]]) -> list[int]:
    """The schedule that departs there, up to a violation or until nothing can go on. Raises BadToken.

    After the last departure it may go round for ever: then it ends after one round. What comes next follows from the
    state and the last context, and those at a power of 2 of steps are kept to compare with (Brent's algorithm).
    """
    stepper, schedule, since, left = Stepper(model), list[int](), 0, list(departures)
    kept: tuple[bytes, int] | None = None
    while len(schedule) < MAX_STEPS:
        if not left and schedule:
            here = stepper.state[: model.size].tobytes(), stepper.steps[-1].context
            if here == kept:
                break
            kept = here if since & (since - 1) == 0 else kept
        possible = stepper.choices()
        if not possible or (not left and stepper.is_final and plain_choice(stepper) is None):
            break
        choice = plain_choice(stepper)
        if left and left[0][0] == since:
            choice, since = left.pop(0)[1], 0
        if choice is None or not stepper.is_possible(choice):
            raise BadToken(f"its schedule asks at step {len(schedule)} for a context that cannot go on there")
        stepper.take(choice)
        schedule.append(choice)
        since += 1
    if left:
        raise BadToken(f"its schedule is over after {len(schedule)} steps, and the token goes on")
    return schedule


def plain_choice(stepper: Stepper) -> int | None:
    """What comes next by default: the context that ran last, else the first that has to run; None at the end."""
    steps = [choice for choice in stepper.choices() if choice < MIGRATE]
    last = stepper.steps[-1].context if stepper.steps else None
    if last in steps:
        return last
    if stepper.is_final:
        return None
    due = [choice for choice in steps if stepper.must_run(choice)]
    return min(due or steps, default=None)
