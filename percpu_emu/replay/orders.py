"""A plan as numbers: what a process looks up at each step. Made before the processes are forked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.replay.layout import Event
from percpu_emu.replay.plan import Part

if TYPE_CHECKING:
    from percpu_emu.replay.control import Control
    from percpu_emu.replay.plan import PlannedStep
    from percpu_emu.replay.programs import Programs

NO_SITE = -1


class Order(NamedTuple):
    """One step."""

    process: int
    context: int
    part: Part
    code: int
    """Of the operation, or of an `Event`."""
    site: int
    target: int
    queued: int
    ended: bool


def code_of(name: str) -> int:
    """The code by which an operation, or an event of the machine, goes. Raises KeyError."""
    return OPERATIONS[name].number if name in OPERATIONS else Event[name.upper()].value


def orders_of(control: Control, programs: Programs) -> list[Order]:
    """For each step of the plan."""

    def order(step: PlannedStep) -> Order:
        site = NO_SITE if step.site is None else programs.number_of_site(step.site)
        process = control.process_of(step.cpu)
        return Order(process, step.context, step.part, code_of(step.op), site, step.target, step.queued, step.ended)

    made = {id(step): order(step) for step in control.plan.distinct}
    return [made[id(step)] for step in control.plan.steps]
