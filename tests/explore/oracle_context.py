"""A context of the oracle: one of the setting's, or a queued callback or work item."""

from __future__ import annotations

from dataclasses import dataclass

from percpu_emu.lang.operation import Op
from percpu_emu.lang.ops import ProgramFunction

from .oracle_programs import Place


@dataclass
class Context:
    """What a context does, where it stands, and what it has open. Its fields hold nothing that changes by itself."""

    number: int
    kind: str
    """As in a setting; "callback", "work" or "sent" (an interrupt) for what is queued."""
    cpu: int | None
    program: ProgramFunction
    arguments: tuple[int | str, ...]
    turns: int = 1
    migrates: int = 0
    """How often it may still move."""
    to_go_down: int | None = None
    """The CPU that its next step takes down."""
    place: Place | None = None
    """Where its program stands in this turn; None: it is over."""
    turn: int = 0
    result: int = 0
    began: bool = False
    mid_turn: bool = False
    """Whether it has taken a step of this turn."""
    loaded: int | None = None
    """Between the halves of a read-modify-write: what it has loaded and not yet stored."""
    rcu: int = 0
    preempt: int = 0
    irqs_off: bool = False
    held: frozenset[int] = frozenset()
    """The regions to which it holds pointers, as a reader that found them by `rcu_dereference`."""
    grace_period: frozenset[int] = frozenset()
    """Of a callback: the readers that have to stop before it begins."""
    behind: frozenset[int] = frozenset()
    """Of what is sent: the interrupts that were sent to its CPU before, and have not ended."""
    waits: frozenset[int] | None = None
    """Readers, or callbacks for `rcu_barrier`, that it has still to wait for; None: no wait is registered."""
    notes: tuple[tuple[int, int], ...] = ()

    def copy(self) -> Context:
        other = object.__new__(Context)
        vars(other).update(vars(self))
        return other

    def key(self) -> tuple[object, ...]:
        return tuple(vars(self).values())

    @property
    def op(self) -> Op:
        assert self.place is not None
        assert self.place.op is not None
        return self.place.op

    @property
    def over(self) -> bool:
        return self.place is None

    @property
    def queued(self) -> bool:
        return self.kind in ("callback", "work", "sent")

    @property
    def interrupting(self) -> bool:
        """Whether it runs as an interrupt of its CPU, now or later."""
        return self.kind == "interrupt" or (self.kind in ("callback", "sent") and self.cpu is not None)

    @property
    def active(self) -> bool:
        """Whether it is an interrupt that has begun and has not ended."""
        return self.interrupting and self.began and not self.over

    @property
    def in_section(self) -> bool:
        """Whether it is neither preempted nor moved."""
        return self.rcu > 0 or self.preempt > 0 or self.irqs_off

    @property
    def reader(self) -> bool:
        """Whether grace periods that begin now wait for it."""
        return self.in_section or self.active

    @property
    def may_sleep(self) -> bool:
        return not (self.in_section or self.kind in ("interrupt", "callback", "sent"))

    def end(self) -> None:
        """It does nothing any more."""
        self.place = self.waits = self.loaded = None
        self.mid_turn = self.irqs_off = False
        self.rcu = self.preempt = 0
        self.notes = ()
        self.held = self.grace_period = self.behind = frozenset()
