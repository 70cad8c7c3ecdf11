"""The records of a run, read back: as steps of a trace, and as the ledgers that their notes add up to."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.trace import Access, Step
from percpu_emu.lang.words import wrap
from percpu_emu.replay import layout as at
from percpu_emu.replay.layout import Event
from percpu_emu.replay.plan import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_emu.replay.plan import PlannedStep
    from percpu_emu.replay.programs import Programs

_HALVES = {Part.LOAD: "load", Part.STORE: "store"}


def step_of(row: list[int], planned: PlannedStep, programs: Programs) -> Step:
    """What a record says, and the plan of what no process can know: whom a wait is for."""
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
        waits_for=planned.waits_for,
        ended=bool(row[at.WAS_LAST]),
        half=_HALVES.get(planned.part, ""),
    )


def where(row: list[int], programs: Programs) -> str:
    """What a record is of, in words; "" where nothing was begun."""
    if not row[at.CODE]:
        return ""
    name, _ = _operations()[row[at.CODE] - 1]
    who = "the coordinator" if row[at.ON_CPU] < 0 else f"CPU {row[at.ON_CPU]}"
    site = f" at {programs.site_by_number(row[at.SITE])}" if row[at.SITE] >= 0 else ""
    return f"{name} by {who}{site}: "


def ledgers_of(rows: Iterable[list[int]]) -> dict[int, int]:
    """What was noted and entered, by counter. A context that is killed enters nothing any more."""
    notes: dict[int, list[tuple[int, int]]] = {}
    ledgers: dict[int, int] = {}
    opcodes = {operation.number + 1: operation.opcode for operation in OPERATIONS.values()}
    for row in rows:
        opcode = opcodes.get(row[at.CODE])
        if opcode == i.LEDGER_ADD:
            notes.setdefault(row[at.CONTEXT], []).append((row[at.ARGS], row[at.ARGS + 1]))
        elif opcode == i.LEDGER_COMMIT:
            for counter, delta in notes.pop(row[at.CONTEXT], []):
                ledgers[counter] = wrap(ledgers.get(counter, 0) + delta)
        elif opcode in (i.CALL_RCU, i.QUEUE_WORK, i.IRQ_WORK):
            notes.pop(row[at.ARGS], None)  # the next program of a callback notes for itself
    return ledgers


@cache
def _operations() -> dict[int, tuple[str, int]]:
    """Name, and number of arguments, by code."""
    found = {operation.number: (name, operation.arity) for name, operation in OPERATIONS.items()}
    return found | {event.value: (event.name.lower(), 1) for event in Event}
