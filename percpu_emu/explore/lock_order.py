"""The order in which contexts take locks, as lockdep looks at it: whether they may wait for each other in a circle.

Each taking is a fact of its own, seen in some schedule; the circle need not happen in any. An order leads from a lock
that a context holds to one that it waits for. Where a lock is held with interrupts on, an interrupt may come, here or
in another setting, and its holder waits for all that the interrupt waits for.

Orders make a circle only if different contexts have them, and if no lock is held throughout two of them: such a lock
lets them happen one after the other only (Havelund, Using runtime analysis to guide model checking of Java programs).
What is queued may be queued again meanwhile: each such program is taken for as many contexts as there are orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from percpu_emu.lang.virtual import layout

if TYPE_CHECKING:
    from percpu_emu.explore.model import Model, Words


@dataclass(frozen=True)
class Taking:
    """A context takes a lock, or turns interrupts on (`lock` is None), while it holds others."""

    context: int
    row: int
    lock: int | None
    held: tuple[tuple[int, int], ...] = ()
    """Locks, each with the row that took it."""
    in_interrupt: bool = False
    irqs_off: bool = False
    tries: bool = False
    queued: bool = False
    """Whether the context is a program that was queued; which number that has, depends on the schedule alone."""

    @property
    def locks(self) -> frozenset[int]:
        """All that is held from here on."""
        own = () if self.lock is None else (self.lock,)
        return frozenset([*(lock for lock, _ in self.held), *own])

    @property
    def waits(self) -> bool:
        """Whether it may have to wait for the lock."""
        return self.lock is not None and not self.tries

    @property
    def may_be_interrupted(self) -> bool:
        """Whether an interrupt may come while the locks are held."""
        return not self.in_interrupt and not self.irqs_off and bool(self.locks)


@dataclass(frozen=True)
class Order:
    """Who holds `before` waits for `after`: `first` takes it; or is interrupted by `second`, which does."""

    before: int
    after: int
    first: Taking
    second: Taking | None = None

    @property
    def takings(self) -> tuple[Taking, ...]:
        """The facts that it is made of."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def contexts(self) -> frozenset[int]:
        """Whose they are, of those that there are once: a program may be queued again while it runs."""
        return frozenset(taking.context for taking in self.takings if not taking.queued)

    @property
    def held(self) -> frozenset[int]:
        """What is held while the wait lasts."""
        if self.second is not None:
            return self.first.locks | {lock for lock, _ in self.second.held}
        return frozenset(lock for lock, _ in self.first.held)


def orders_of(takings: Iterable[Taking]) -> Iterator[Order]:
    """All that follows from the takings."""
    takings = list({replace(taking, context=-1) if taking.queued else taking: taking for taking in takings}.values())
    for taking in takings:
        if taking.waits and taking.lock is not None:
            yield from (Order(lock, taking.lock, taking) for lock, _ in taking.held)
    for second in takings:
        if second.in_interrupt and second.waits and second.lock is not None:
            for first in takings:
                if first.may_be_interrupted and (first.queued or first.context != second.context):
                    yield from (Order(lock, second.lock, first, second) for lock in sorted(first.locks))


def circle_in(takings: Iterable[Taking]) -> tuple[Order, ...]:
    """A shortest circle of orders that different contexts may be in at the same time; () where there is none."""
    orders = list(dict.fromkeys(orders_of(takings)))
    ways: list[tuple[Order, ...]] = [(order,) for order in orders]
    for _ in {order.before for order in orders}:
        for way in ways:
            if way[-1].after == way[0].before:
                return way
        ways = [(*way, order) for way in ways for order in orders if _goes_on(way, order)]
    return ()


def _goes_on(way: Sequence[Order], order: Order) -> bool:
    """Whether an order may follow: the lowest lock begins a circle, so that each is met once."""
    if order.before != way[-1].after or order.after < way[0].before:
        return False
    return all(not (order.contexts & other.contexts or order.held & other.held) for other in way)


# --- from the engine


def takings_of(model: Model, vm: Words | None = None) -> list[Taking]:
    """What was noted since TAKEN was 0."""
    vm = model.vm if vm is None else vm
    held = int(vm[layout.HELD_LOCKS])
    if not held:
        return []
    words, first = layout.TAKING_HELD + held, int(vm[layout.TAKINGS])
    rows = vm[first : first + int(vm[layout.TAKEN]) * words].reshape(-1, words).tolist()
    return [_taking(row, int(vm[layout.CONTEXTS])) for row in rows]


def _taking(row: list[int], contexts: int) -> Taking:
    lock, flags = row[layout.TAKING_LOCK], row[layout.TAKING_FLAGS]
    return Taking(
        row[layout.TAKING_CONTEXT],
        row[layout.TAKING_ROW],
        None if lock < 0 else lock,
        tuple((word & layout.LOCK_MASK, word >> layout.LOCK_BITS) for word in row[layout.TAKING_HELD :] if word),
        bool(flags & layout.IN_INTERRUPT),
        bool(flags & layout.INTERRUPTS_OFF),
        bool(flags & layout.TRIED),
        row[layout.TAKING_CONTEXT] >= contexts,
    )
