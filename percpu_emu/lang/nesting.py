"""What an instrumented operation tells of itself before it is done: its effect on sections (`lang.sections`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from percpu_emu.lang import context as c
from percpu_emu.lang import instructions as i

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Operation, Section

_ENTERS: Final[dict[Section | None, int]] = {None: 0, "rcu": c.ENTERS_RCU, "preempt": c.STOPS_PREEMPTION, "irq": 0}
_LEAVES: Final[dict[Section | None, int]] = {None: 0, "rcu": c.LEAVES_RCU, "preempt": c.ALLOWS_PREEMPTION, "irq": 0}
"""`context.IRQS_OFF` says whether interrupts are off, and `local_irq_restore` may turn them off, too."""


def effect_of(operation: Operation) -> int:
    """For `primitives.reach`; 0 for none."""
    if operation.wait == "sleeps":
        return c.WAITS_FOR_READERS if operation.opcode == i.SYNCHRONIZE_RCU else c.SLEEPS
    return _ENTERS[operation.enters] or _LEAVES[operation.leaves]
