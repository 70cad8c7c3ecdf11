"""What keeps a context from its next step, as `blocking.blocked` decides it, for people and for replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from percpu_emu.explore.compiled import compiled
from percpu_emu.lang import instructions as i
from percpu_emu.lang.setting import MAX_NUMBERS
from percpu_emu.lang.trace import Obstacle, Reason
from percpu_emu.lang.virtual import blocking, layout

if TYPE_CHECKING:
    from percpu_emu.explore.tracing import Stepper

REASONS: Final[dict[int, Reason]] = {
    blocking.IS_OVER: "over",
    blocking.GRACE_PERIOD: "grace period",
    blocking.CALLBACKS: "callbacks",
    blocking.INTERRUPTS_OFF: "interrupts off",
    blocking.INTERRUPT_RUNS: "interrupt",
    blocking.PREEMPTION_OFF: "preemption off",
    blocking.HALF_DONE: "half done",
    blocking.WORD: "word",
    blocking.MID_TURN_THERE: "mid-turn",
    blocking.BUSY_THERE: "busy",
    blocking.OFF_LINE: "off line",
    blocking.EARLIER_INTERRUPT: "earlier interrupt",
}


def contexts_in(mask: int) -> tuple[int, ...]:
    """The contexts that the bits of a word name."""
    return tuple(number for number in range(MAX_NUMBERS) if mask >> number & 1)


def obstacle_of(stepper: Stepper, context: int) -> Obstacle | None:
    """What keeps a context of the stepper's model from its next step; None where nothing does."""
    if stepper.violated:
        return Obstacle("over")
    vm, state, base = stepper.model.vm, stepper.state, stepper.model.block(context)
    reason = int(compiled().blocked(vm, state, context))
    if reason == blocking.NOT_BLOCKED:
        return None
    mask = int(vm[vm[layout.LOG] + layout.LOG_BLOCKERS])
    cpu = int(vm[vm[layout.TARGETS] + context] if reason == blocking.MID_TURN_THERE else state[base + layout.CPU] - 1)
    address = value = 0
    arguments = stepper.model.code.rows[int(state[base + layout.PC])][i.A : i.C]
    if reason == blocking.WORD:
        address, value = (stepper.operand(context, which) for which in arguments)
    elif reason == blocking.BUSY_THERE:
        cpu = stepper.operand(context, arguments[0])
    return Obstacle(REASONS[reason], contexts_in(mask), cpu if cpu >= 0 else None, address, value)
