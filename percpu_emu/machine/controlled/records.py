"""The records of a run, read back: as steps of a trace, and as the ledgers that their notes come to."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.trace import Access, Step
from percpu_emu.lang.words import wrap
from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.compiled import codes
from percpu_emu.machine.controlled.layout import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_emu.machine.controlled.programs import Programs


def step_of(row: list[int], programs: Programs) -> Step:
    """What a record says."""
    name, arity = _operations()[row[at.CODE] - 1]
    accesses: tuple[Access, ...] = ()
    if row[at.ADDRESS] != at.NOTHING:
        accesses = (Access(row[at.ADDRESS], row[at.OLD], row[at.NEW], bool(row[at.WROTE])),)
    return Step(
        context=row[at.CONTEXT],
        op=name,
        args=tuple(row[at.ARGS : at.ARGS + arity]),
        result=row[at.GAVE],
        accesses=accesses,
        site=programs.site_by_number(row[at.SITE]) if row[at.SITE] >= 0 else None,
        cpu=row[at.ON_CPU] if row[at.ON_CPU] >= 0 else None,
        waits_for=tuple(number for number in range(64) if row[at.WAITS_FOR] >> number & 1),
        ended=bool(row[at.WAS_LAST]),
    )


def ledgers_of(rows: Iterable[list[int]]) -> dict[int, int]:
    """What was noted and entered, by counter. A context that is killed enters nothing any more."""
    notes: dict[int, list[tuple[int, int]]] = {}
    ledgers: dict[int, int] = {}
    add, commit = codes()["ledger_add"] + 1, codes()["ledger_commit"] + 1
    queues = {codes()["call_rcu"] + 1, codes()["queue_work"] + 1}
    for row in rows:
        if row[at.CODE] == add:
            notes.setdefault(row[at.CONTEXT], []).append((row[at.ARGS], row[at.ARGS + 1]))
        elif row[at.CODE] == commit:
            for counter, delta in notes.pop(row[at.CONTEXT], []):
                ledgers[counter] = wrap(ledgers.get(counter, 0) + delta)
        elif row[at.CODE] in queues:
            notes.pop(row[at.ARGS], None)  # the next program of a callback slot notes for itself
    return ledgers


@cache
def _operations() -> dict[int, tuple[str, int]]:
    """Name, and number of arguments, by code."""
    found = {operation.number: (name, operation.arity) for name, operation in OPERATIONS.items()}
    return found | {event.value: (event.name.lower(), 1) for event in Event}
