"""What the oracle checks of whole states: counters against their ledger, what is left, what was freed too early.

Counters are judged where everything has run. After a callback the engine judges them too, except for a difference
that some context may still hold in its registers. The oracle has no registers: it only says which checks might fail
there (`may_fail_after_callback`), and where none might, the engine has to agree exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final, NoReturn

from percpu_emu.lang.ops import ProgramFunction

from .oracle_programs import Violated

if TYPE_CHECKING:
    from .oracle_model import Model

WRAPPED: Final = 1 << 31


@dataclass(frozen=True)
class Checks:
    """What is checked besides what every step is checked for."""

    left: int | None = None
    total: ProgramFunction | None = None
    bound: int | None = None
    exclusive: bool = False


def check_bound(model: Model) -> None:
    """Raise `Violated` where a global counter is further from its ledger than slots may hold and notes explain."""
    if model.checks.bound is None:
        return
    notes = [note for context in model.all() for note in context.notes] + list(model.doubts)
    for counter, added in model.ledger.items():
        value = model.memory.words.get(counter, 0)
        in_flight = sum(abs(delta) for noted, delta in notes if noted == counter)
        if abs(value - added) > model.checks.bound + in_flight:
            raise Violated("error-bound", f"the counter at {counter} is {value}, added were {added}")


def check_end(model: Model) -> None:
    """Raise `Violated` for what must not be at a final state."""
    for counter, value, added in _counters(model):
        in_doubt = [delta for doubted, delta in model.doubts if doubted == counter]
        if not in_doubt and value < 0 <= added:
            _wrong("negative-counter", counter, value, added)
        if abs(value) >= WRAPPED:
            _wrong("wrapped-counter", counter, value, added)
        if value - added not in _subset_sums(in_doubt):
            _wrong("lost-count" if value < added else "doubled-count", counter, value, added)
    if model.checks.left is not None and model.memory.live > model.checks.left:
        raise Violated("leak", f"{model.memory.live} regions are left, {model.checks.left} may be")
    if model.freed_early:
        raise Violated("early-free", "a region was freed while a reader held a pointer to it")


def may_fail_after_callback(model: Model) -> set[str]:
    """The checks on counters that fail in this state, in which a callback has ended, unless registers explain it."""
    noted = {counter for context in model.all() for counter, _ in context.notes}
    try:
        off = [(value, added) for counter, value, added in _counters(model) if counter not in noted and value != added]
    except Violated as violated:
        return {violated.check}
    return {"lost-count" if value < added else "doubled-count" for value, added in off}


def _counters(model: Model) -> list[tuple[int, int, int]]:
    """Each counter that is in the ledger and in memory, its value and what was added to it."""
    total = model.checks.total
    if total is None:
        return []
    counters = [counter for counter in sorted(model.ledger) if model.memory.is_there(counter)]
    aside = model.copy() if counters else model
    return [(counter, aside.alone(total, counter), model.ledger[counter]) for counter in counters]


def _wrong(check: str, counter: int, value: int, added: int) -> NoReturn:
    raise Violated(check, f"the counter at {counter} is {value}, added were {added}")


def _subset_sums(deltas: list[int]) -> set[int]:
    return {sum(some) for size in range(len(deltas) + 1) for some in combinations(deltas, size)}
