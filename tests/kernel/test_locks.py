"""Spinlock, ticket lock, mutex: one holder at a time, in every order; what only looks like one is caught."""

from __future__ import annotations

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.kernel.locks import (
    Mutex,
    SpinLock,
    TicketLock,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    spin_lock,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irqrestore,
    ticket_lock,
    ticket_unlock,
)
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    cmpxchg,
    counted,
    preempt_disable,
    read_once,
    smp_cond_load_acquire,
    wait_until,
    write_once,
)
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.structures import AtomicLong, Struct
from tests.explore.searched import of, task
from tests.programs import counter

from .cases import Case, beside

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Guarded(Struct):
    """Every lock, and what is behind it."""

    spin: SpinLock
    ticket: TicketLock
    mutex: Mutex
    total: AtomicLong


guarded = Guarded()


def add_one() -> Program[None]:
    """A critical section: a load and a store, which lose a count where two contexts are inside."""
    with counted(guarded.total, 1):
        x = yield read_once(guarded.total)
        yield write_once(guarded.total, x + 1)


def under_spinlock() -> Program[None]:
    yield from spin_lock(guarded.spin)
    yield from add_one()
    yield from spin_unlock(guarded.spin)


def under_tested_lock() -> Program[None]:
    """The lock is tested, and then taken."""
    yield preempt_disable()
    yield smp_cond_load_acquire(guarded.spin.owner, 0)
    yield write_once(guarded.spin.owner, 1)
    yield from add_one()
    yield from spin_unlock(guarded.spin)


def under_preemptible_lock() -> Program[None]:
    """A task that spins on this CPU keeps the holder from running."""
    while (yield cmpxchg(guarded.spin.owner, 0, 1)) != 0:
        yield smp_cond_load_acquire(guarded.spin.owner, 0)
    yield from add_one()
    yield write_once(guarded.spin.owner, 0)


def if_free() -> Program[None]:
    if (yield from spin_trylock(guarded.spin)):
        yield from add_one()
        yield from spin_unlock(guarded.spin)


def free_or_not() -> Program[None]:
    """What the trylock says is not looked at."""
    taken = yield from spin_trylock(guarded.spin)
    yield from add_one()
    if taken:
        yield from spin_unlock(guarded.spin)


def with_interrupts_off() -> Program[None]:
    flags = yield from spin_lock_irqsave(guarded.spin)
    yield from add_one()
    yield from spin_unlock_irqrestore(guarded.spin, flags)


def under_ticket_lock() -> Program[None]:
    yield from ticket_lock(guarded.ticket)
    yield from add_one()
    yield from ticket_unlock(guarded.ticket)


def under_copied_ticket() -> Program[None]:
    """Two may draw the same ticket."""
    yield preempt_disable()
    ticket = yield read_once(guarded.ticket.next)
    yield write_once(guarded.ticket.next, ticket + 1)
    yield smp_cond_load_acquire(guarded.ticket.serving, ticket)
    yield from add_one()
    yield from ticket_unlock(guarded.ticket)


def under_mutex() -> Program[None]:
    yield from mutex_lock(guarded.mutex)
    yield from add_one()
    yield from mutex_unlock(guarded.mutex)


def under_mutex_if_free() -> Program[None]:
    if (yield from mutex_trylock(guarded.mutex)):
        yield from add_one()
        yield from mutex_unlock(guarded.mutex)


def under_awaited_mutex() -> Program[None]:
    """A task that wakes up does not compete for the mutex again."""
    yield wait_until(guarded.mutex.locked, 0)
    yield write_once(guarded.mutex.locked, 1)
    yield from add_one()
    yield from mutex_unlock(guarded.mutex)


def interrupted(program: ProgramFunction, by: ProgramFunction) -> Setting:
    """A task, and an interrupt of its CPU."""
    return of(task(program, 0), ContextSpec("interrupt", by, "interrupt", 0), cpus=1)


def on_one_cpu(*programs: ProgramFunction) -> Setting:
    """Tasks of one CPU."""
    return of(*(task(program, 0) for program in programs), cpus=1)


COUNTS = Checks(counter)
CASES = [
    Case("spin_lock", beside(*[under_spinlock] * 3), beside(*[under_tested_lock] * 2), "lost-count", COUNTS),
    Case(
        "spin_lock on one CPU",
        on_one_cpu(*[under_spinlock] * 2),
        on_one_cpu(under_preemptible_lock, under_spinlock),
        "deadlock",
        COUNTS,
    ),
    Case("spin_trylock", beside(under_spinlock, if_free), beside(under_spinlock, free_or_not), "lost-count", COUNTS),
    Case(
        "spin_lock_irqsave",
        interrupted(with_interrupts_off, with_interrupts_off),
        interrupted(under_spinlock, with_interrupts_off),
        "deadlock",
        COUNTS,
    ),
    Case("ticket_lock", beside(*[under_ticket_lock] * 3), beside(*[under_copied_ticket] * 2), "lost-count", COUNTS),
    Case("mutex_lock", beside(*[under_mutex] * 3), beside(*[under_awaited_mutex] * 2), "lost-count", COUNTS),
    Case(
        "mutex_lock on one CPU",
        on_one_cpu(*[under_mutex] * 2),
        on_one_cpu(*[under_awaited_mutex] * 2),
        "lost-count",
        COUNTS,
    ),
    Case("mutex_trylock", beside(under_mutex, under_mutex_if_free), beside(under_mutex, add_one), "lost-count", COUNTS),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_holder_at_a_time(case: Case) -> None:
    case.hold()


def test_a_mutex_in_an_interrupt_or_a_section_sleeps_where_it_may_not() -> None:
    Case("mutex_lock", beside(under_mutex), interrupted(under_mutex, under_mutex), "sleep-in-atomic", COUNTS).hold()
