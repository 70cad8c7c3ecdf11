"""What keeps a context from its next step, as `virtual.blocked` decides it, for people and for replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from percpu_emu.explore.kernels import kernels
from percpu_emu.lang import instructions as i
from percpu_emu.lang import virtual
from percpu_emu.lang.setting import MAX_NUMBERS
from percpu_emu.lang.trace import Obstacle, Reason

if TYPE_CHECKING:
    from percpu_emu.explore.tracing import Stepper

REASONS: Final[dict[int, Reason]] = {
    virtual.IS_OVER: "over",
    virtual.GRACE_PERIOD: "grace period",
    virtual.CALLBACKS: "callbacks",
    virtual.INTERRUPTS_OFF: "interrupts off",
    virtual.INTERRUPT_RUNS: "interrupt",
    virtual.PREEMPTION_OFF: "preemption off",
    virtual.HALF_DONE: "half done",
    virtual.WORD: "word",
    virtual.MID_TURN_THERE: "mid-turn",
}


def contexts_in(mask: int) -> tuple[int, ...]:
    """The contexts that the bits of a word name."""
    return tuple(number for number in range(MAX_NUMBERS) if mask >> number & 1)


def obstacle_of(stepper: Stepper, context: int) -> Obstacle | None:
    """What keeps a context of the stepper's model from its next step; None where nothing does."""
    if stepper.violated:
        return Obstacle("over")
    vm, state, base = stepper.model.vm, stepper.state, stepper.model.block(context)
    reason = int(kernels().blocked(vm, state, context))
    if reason == virtual.NOT_BLOCKED:
        return None
    mask = int(vm[vm[virtual.LOG] + virtual.LOG_BLOCKERS])
    cpu = int(vm[vm[virtual.TARGETS] + context] if reason == virtual.MID_TURN_THERE else state[base + virtual.CPU] - 1)
    address = value = 0
    if reason == virtual.WORD:
        row = stepper.model.code.rows[int(state[base + virtual.PC])]
        address, value = (stepper.operand(context, which) for which in row[i.A : i.C])
    return Obstacle(REASONS[reason], contexts_in(mask), cpu if cpu >= 0 else None, address, value)
