"""A lock that serves any CPU and one that serves them in turn: whether a CPU may wait for ever for its turn.

The test-and-set lock as in T. E. Anderson, The performance of spin lock alternatives for shared-memory multiprocessors,
1990; tickets as in D. P. Reed and R. K. Kanodia, Synchronization with eventcounts and sequencers, 1979.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import SpinLock, TicketLock, spin_lock, spin_unlock, ticket_lock, ticket_unlock
from percpu_emu.lang.ops import Program, read_once, write_once
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Shared(Struct):
    """Two locks, and whether the work is to end."""

    lock: SpinLock
    tickets: TicketLock
    end: Word


shared = Shared()


def work_with_the_lock_set() -> Program[None]:
    """Take the lock and let it go, until the other CPU has had it."""
    while not (yield read_once(shared.end)):
        yield from spin_lock(shared.lock)  # wrong: the CPU that has just let it go may be the next to get it
        yield from spin_unlock(shared.lock)


def end_with_the_lock_set() -> Program[None]:
    """Take the lock once, and say that the work is to end."""
    yield from spin_lock(shared.lock)
    yield write_once(shared.end, 1)
    yield from spin_unlock(shared.lock)


@scenario(cpus=2, progress="fair", expect="starvation", missing="serving the CPUs in the order in which they come")
def starved_by_test_and_set(m: Contexts) -> None:
    """A CPU lets a test-and-set lock go and takes it again, while another spins for it.

    The one that spins can go on only while the lock is free. A fair scheduler lets all go on that always can, and this
    one never has to: whenever it looks, the lock is taken again.

    The fixed version, served-by-tickets, draws a ticket before it waits.
    """
    m.task(work_with_the_lock_set, cpu=0, name="work")
    m.task(end_with_the_lock_set, cpu=1, name="end")


def work_with_tickets() -> Program[None]:
    """Take the lock and let it go, until the other CPU has had it."""
    while not (yield read_once(shared.end)):
        yield from ticket_lock(shared.tickets)
        yield from ticket_unlock(shared.tickets)


def end_with_tickets() -> Program[None]:
    """Take the lock once, and say that the work is to end."""
    yield from ticket_lock(shared.tickets)
    yield write_once(shared.end, 1)
    yield from ticket_unlock(shared.tickets)


@scenario(cpus=2, progress="fair", constants={"TICKET": 1 << 62})
def served_by_tickets(m: Contexts) -> None:
    """A CPU that has drawn its ticket is served before any that draws one later.

    When its number comes it can go on, and nothing takes that away: it is the others that wait then. There are four
    numbers here, which come round as those of the kernel's locks do.
    """
    m.task(work_with_tickets, cpu=0, name="work")
    m.task(end_with_tickets, cpu=1, name="end")
