"""Why a context cannot take a step now; the rules are those of `virtual.is_enabled`, which this only explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang import instructions as i
from percpu_emu.lang import virtual

Reason: TypeAlias = Literal[
    "over", "grace period", "callbacks", "interrupts off", "interrupt", "preemption off", "word", "mid-turn"
]


@dataclass(frozen=True)
class Obstacle:
    """What stands in a context's way, and who does."""

    reason: Reason
    contexts: tuple[int, ...] = ()
    """Whose sections, callbacks or turns have to end first."""
    cpu: int | None = None
    """On which CPU."""
    address: int = 0
    """For "word": what is waited for, ..."""
    value: int = 0
    """... and the value that it has to have."""


_WAITING_OPERATIONS: Final[dict[int, Reason]] = {i.SYNCHRONIZE_RCU: "grace period", i.RCU_BARRIER: "callbacks"}


def obstacle(stepper: Stepper, context: int) -> Obstacle | None:
    """What keeps a context of the stepper's model from its next step; None where nothing does."""
    return None if context in stepper.choices() else _Look(stepper, context).obstacle()


class _Look:
    """At one context that cannot go on."""

    def __init__(self, stepper: Stepper, context: int) -> None:
        self._stepper = stepper
        self._context = context
        self._status = self._of(context, virtual.STATUS)
        self._cpu = self._of(context, virtual.CPU)

    def obstacle(self) -> Obstacle:
        if self._stepper.violated or self._status in (virtual.UNUSED, virtual.OVER):
            return Obstacle("over")
        if self._status == virtual.WAITING and self._of(self._context, virtual.WAIT):
            return Obstacle("grace period", self._awaited())
        return self._of_its_cpu() or self._of_its_operation()

    def _of(self, context: int, word: int) -> int:
        return int(self._stepper.state[self._stepper.model.block(context) + word])

    def _everyone(self) -> range:
        vm = self._stepper.model.vm
        return range(int(vm[virtual.CONTEXTS] + vm[virtual.SLOTS]))

    def _awaited(self) -> tuple[int, ...]:
        wait = self._of(self._context, virtual.WAIT)
        return tuple(other for other in self._everyone() if wait >> other & 1)

    def _is_interrupt(self, context: int) -> bool:
        """Or a callback that runs as one."""
        vm = self._stepper.model.vm
        kind = vm[vm[virtual.KINDS] + context]
        return bool(kind == virtual.INTERRUPT or (kind == virtual.SLOT and self._of(context, virtual.CPU)))

    def _of_its_cpu(self) -> Obstacle | None:
        if self._cpu == 0:
            return None
        inner = self._is_interrupt(self._context)
        starts = inner and self._status == virtual.WAITING
        if starts and int(self._stepper.state[virtual.IRQS_OFF]) >> (self._cpu - 1) & 1:
            return Obstacle("interrupts off", cpu=self._cpu - 1)
        there = [other for other in self._everyone() if other != self._context and self._runs_on(other, self._cpu)]
        interrupts = tuple(filter(self._is_interrupt, there))
        if interrupts and (starts or not inner):
            return Obstacle("interrupt", interrupts, self._cpu - 1)
        tasks = tuple(other for other in there if not self._is_interrupt(other) and self._of(other, virtual.DEPTH))
        return Obstacle("preemption off", tasks, self._cpu - 1) if tasks and not inner else None

    def _runs_on(self, context: int, cpu: int) -> bool:
        return self._of(context, virtual.CPU) == cpu and self._of(context, virtual.STATUS) == virtual.RUNNING

    def _of_its_operation(self) -> Obstacle:
        """The next operation waits for something."""
        model = self._stepper.model
        row = model.code.rows[self._of(self._context, virtual.PC)]
        if reason := _WAITING_OPERATIONS.get(row[i.OPCODE]):
            return Obstacle(reason, self._awaited())
        if row[i.OPCODE] == i.WAIT_UNTIL:
            address, value = (self._stepper.operand(self._context, which) for which in row[i.A : i.C])
            return Obstacle("word", address=address, value=value)
        target = int(model.vm[model.vm[virtual.TARGETS] + self._context])
        inside = tuple(
            other
            for other in self._everyone()
            if self._runs_on(other, target + 1) and (self._of(other, virtual.MID_TURN) or self._is_interrupt(other))
        )
        return Obstacle("mid-turn", inside, target)
