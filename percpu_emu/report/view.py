"""A trace as its renderings see it: labels, moments, turns, and which steps carry no information."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from percpu_emu.report.labels import Labels, allocation_of, operation
from percpu_emu.report.moments import Moment, moments

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Access, Trace

SMALL: Final = frozenset(
    {
        *("rcu_read_lock", "rcu_read_unlock", "preempt_disable", "preempt_enable"),
        *("local_irq_save", "local_irq_restore", "ledger_add", "ledger_commit", "mark", "cpu_relax", "quiescent_state"),
        *("smp_mb", "smp_processor_id", "nr_cpu_ids", "nr_node_ids", "cpumask_next"),
    }
)
"""Operations that tell a reader nothing by themselves."""
PLAIN_READS: Final = frozenset({"read_once", "smp_load_acquire", "this_cpu_read"})


@dataclass(frozen=True)
class Turn:
    """Steps `first` to `last` (included) in a row, of one actor."""

    actor: int
    first: int
    last: int

    @property
    def steps(self) -> range:
        """Their indices."""
        return range(self.first, self.last + 1)


class View:
    """Everything that is worked out once from a trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.labels = Labels(trace)
        self.moments: list[Moment] = moments(trace, self.labels)
        """After 0, 1, 2 … steps."""
        self.guilty: frozenset[int] = frozenset(trace.violation.guilty if trace.violation else ())

    @cached_property
    def turns(self) -> list[Turn]:
        """Consecutive steps of one actor each."""
        found: list[Turn] = []
        for index, actor in enumerate(self.labels.actors):
            if found and found[-1].actor == actor:
                found[-1] = Turn(actor, found[-1].first, index)
            else:
                found.append(Turn(actor, index, index))
        return found

    @cached_property
    def lanes(self) -> list[int | None]:
        """The CPUs that act, then None if the coordinator does."""
        acting = {step.cpu for step in self.trace.steps}
        return [*sorted(cpu for cpu in acting if cpu is not None), *([None] if None in acting else [])]

    @cached_property
    def _writers(self) -> dict[int, set[int]]:
        writers: dict[int, set[int]] = {}
        for actor, step in zip(self.labels.actors, self.trace.steps, strict=True):
            for access in step.accesses:
                if access.write:
                    writers.setdefault(access.address, set()).add(actor)
        return writers

    def is_quiet(self, index: int) -> bool:
        """Whether the step may be folded: a small operation, or a read of an unnamed word that nobody else writes."""
        step = self.trace.steps[index]
        if index in self.guilty or self.moments[index + 1].over or self.in_freed(index):
            return False
        name = operation(step)
        if name == "warn_on":
            return not (step.args and step.args[0])
        if name in PLAIN_READS:
            actor = self.labels.actors[index]
            addresses = [access.address for access in step.accesses]
            return not any(
                self.labels.is_named(address) or self._writers.get(address, set()) - {actor} for address in addresses
            )
        return name in SMALL

    def in_freed(self, index: int) -> bool:
        """Whether the step touched memory that had been freed."""
        return any(self.is_freed(access.address, index) for access in self.trace.steps[index].accesses)

    def is_freed(self, address: int, index: int) -> bool:
        """Whether the word was part of freed memory before that step."""
        return allocation_of(address) in self.moments[index].freed

    def took_place(self, access: Access, index: int) -> bool:
        """Whether the values of the access are known: one of freed memory may have been stopped before it was done."""
        return access.old != access.new or access.old != 0 or not self.is_freed(access.address, index)

    def next_step(self, index: int) -> int | None:
        """The next step of the same actor; None if there is none."""
        actor = self.labels.actors[index]
        later = (other for other in range(index + 1, len(self.trace.steps)) if self.labels.actors[other] == actor)
        return next(later, None)

    def ends_wait(self, index: int) -> bool:
        """Whether the step is the second of a `synchronize_rcu` or `rcu_barrier`: the wait is over."""
        actor = self.labels.actors[index]
        return self.moments[index].contexts[actor].state == "waiting"
