"""A ticket lock: tickets are drawn by a read and a write, or by one atomic addition.

As in D. P. Reed and R. K. Kanodia, Synchronization with eventcounts and sequencers, 1979; Linux had it for x86 from
2.6.25 to 4.1.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import TicketLock, ticket_lock, ticket_unlock
from percpu_emu.lang.ops import Program, counted, preempt_disable, read_once, smp_cond_load_acquire, write_once
from percpu_emu.lang.structures import AtomicLong, Struct
from percpu_emu.scenario.decorator import Contexts, scenario


class Shared(Struct):
    """The lock, and the count that it protects."""

    lock: TicketLock
    total: AtomicLong


shared = Shared()


def count() -> Program[None]:
    """The critical section: a read and a write."""
    with counted(shared.total, 1):
        x = yield read_once(shared.total)
        yield write_once(shared.total, x + 1)


def total(address: int) -> Program[int]:
    """The count."""
    return (yield read_once(address))


def careless_work() -> Program[None]:
    """Count under the lock."""
    yield preempt_disable()
    ticket = yield read_once(shared.lock.next)
    yield write_once(shared.lock.next, ticket + 1)  # wrong: another CPU may have read the same ticket
    yield smp_cond_load_acquire(shared.lock.serving, ticket)
    yield from count()
    yield from ticket_unlock(shared.lock)


@scenario(
    cpus=2,
    total=total,
    expect="deadlock",
    missing="drawing the ticket by one atomic addition",
)
def ticket_drawn_twice(m: Contexts) -> None:
    """Two CPUs draw the same ticket, and one of them spins for ever.

    A ticket is read and the next one written. A CPU that reads in between gets the same ticket. Both hold the lock
    together if they look at the same time; if one is done before, the number that the other waits for has passed.

    The fixed version, ticket-lock-of-three, draws by atomic_long_fetch_add.
    """
    m.task(careless_work, cpu="all", name="work")


def work() -> Program[None]:
    """Count under the lock."""
    yield from ticket_lock(shared.lock)
    yield from count()
    yield from ticket_unlock(shared.lock)


@scenario(cpus=3, total=total)
def ticket_lock_of_three(m: Contexts) -> None:
    """Three CPUs take a ticket lock, one after the other.

    An atomic addition gives each ticket once.
    """
    m.task(work, cpu="all")
