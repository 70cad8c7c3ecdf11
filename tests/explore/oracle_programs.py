"""Programs as automata: the places where one can stand, and where each result of its operation leads.

A generator cannot be copied, and what was sent to one that polls grows for ever. So a place is known by all that its
generator holds there: for the generator and for each that it delegates to the position, the local variables and what
is on the stack. Two ways that come to the same come to one place, and a loop that polls has finitely many.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any, TypeAlias

from percpu_emu.lang.operation import Op
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.reference import in_words
from percpu_emu.lang.words import Long, wrap

Call: TypeAlias = tuple[ProgramFunction, tuple[int, ...]]


class Violated(Exception):
    """A check failed."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail


@dataclass(eq=False)
class Place:
    """Where a call of a program stands: before an operation, or at its end."""

    call: Call
    sent: tuple[int, ...]
    """Results of operations that lead there from the beginning: of all that do, the first that were tried."""
    op: Op | None
    """What it does next; None at the end."""
    result: int = 0
    """What the program gave, at the end."""
    after: dict[int, Place] = field(default_factory=dict, repr=False)


class Programs:
    """All places that were found so far."""

    def __init__(self, constants: Mapping[str, int]) -> None:
        self._constants = constants
        self._places: dict[object, Place] = {}
        self._first: dict[Call, Place] = {}

    def first(self, program: ProgramFunction, arguments: tuple[int, ...]) -> Place:
        """Before the first operation of `program(*arguments)`. Raises `Violated` where its arithmetic fails."""
        call = program, arguments
        if call not in self._first:
            self._first[call] = self._follow(call, ())
        return self._first[call]

    def next(self, place: Place, result: int) -> Place:
        """Before the next operation, or the end, where this one has that result. Raises `Violated` likewise."""
        if result not in place.after:
            place.after[result] = self._follow(place.call, (*place.sent, result))
        return place.after[result]

    def _follow(self, call: Call, sent: tuple[int, ...]) -> Place:
        program, arguments = call
        run = in_words(program, (), self._constants)(*map(Long, arguments))
        try:
            op = run.send(None)  # type: ignore[arg-type]  # which begins it
            for result in sent:
                op = run.send(Long(result))
        except StopIteration as end:
            place = Place(call, sent, None, wrap(end.value or 0))
            return self._places.setdefault((call, place.result), place)
        except (ArithmeticError, ValueError) as error:
            raise Violated("fault", f"{program.__name__}: {error}") from error
        return self._places.setdefault((call, _held(run)), Place(call, sent, op))


def _held(run: Any) -> tuple[object, ...]:
    """What decides how a suspended generator goes on."""
    frame = run.gi_frame
    referents = [_frozen(thing) for thing in gc.get_referents(run) if isinstance(thing, _HOLDS)]
    return frame.f_code, frame.f_lasti, frozenset(frame.f_locals), *referents


_HOLDS = (int, tuple, GeneratorType, map)
"""Numbers, addresses, programs and loops; all else that a generator refers to follows from its position."""


def _frozen(thing: Any) -> object:
    if isinstance(thing, GeneratorType):
        return _held(thing)
    if isinstance(thing, map):  # a loop over a range of Longs: how far it is
        made_from: Any = thing.__reduce__()
        _, (_, numbers) = made_from
        return numbers.__reduce__()
    return thing
