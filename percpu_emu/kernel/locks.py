"""Locks: spinlock_t, a ticket lock and struct mutex, as programs that code under test calls.

kernel/locking and include/linux/spinlock.h, as far as their guarantee goes: one holder at a time, and what the holder
wrote is there for the next one. Fairness is the ticket lock's alone. Debugging and the paravirtual variants are left
out. Each program has the name of the kernel's function.
"""

from __future__ import annotations

from typing import Final

from percpu_emu.lang.locking import releases, takes
from percpu_emu.lang.ops import (
    Program,
    atomic_long_fetch_add,
    cmpxchg,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    read_once,
    smp_cond_load_acquire,
    smp_processor_id,
    smp_store_release,
    wait_until,
)
from percpu_emu.lang.structures import AtomicLong, Struct, Word

TICKET: Final = 1
"""How far apart tickets are; a scenario whose CPUs draw them for ever has them 1 << 62 apart, so that 4 are all."""


class SpinLock(Struct):
    """spinlock_t: the number of the CPU that holds it, plus 1; 0 while it is free. The coordinator's is one more."""

    owner: Word


class TicketLock(Struct):
    """arch_spinlock_t of asm-generic/ticket_spinlock.h: the next ticket, and the ticket that is served."""

    next: AtomicLong
    serving: Word


class Mutex(Struct):
    """struct mutex: 1 while a task holds it."""

    locked: Word


def spin_lock(lock: SpinLock) -> Program[None]:
    """Take the lock, spinning, with preemption off. An interrupt of the holder's CPU spins for ever."""
    yield preempt_disable()
    cpu = yield smp_processor_id()
    while (yield cmpxchg(lock.owner, 0, cpu + 1)) != 0:
        yield smp_cond_load_acquire(lock.owner, 0)


def spin_trylock(lock: SpinLock) -> Program[int]:
    """Take the lock if it is free. Gives 1 where it was, else 0."""
    yield preempt_disable()
    cpu = yield smp_processor_id()
    if (yield cmpxchg(lock.owner, 0, cpu + 1)) == 0:
        return 1
    yield preempt_enable()
    return 0


def spin_unlock(lock: SpinLock) -> Program[None]:
    """Hand over what was written, and let the lock go."""
    yield smp_store_release(lock.owner, 0)
    yield preempt_enable()


def spin_lock_irqsave(lock: SpinLock) -> Program[int]:
    """The same with interrupts off, for a lock that interrupts take. Gives the flags."""
    flags = yield local_irq_save()
    yield from spin_lock(lock)
    return flags


def spin_unlock_irqrestore(lock: SpinLock, flags: int) -> Program[None]:
    """Let the lock go and restore the interrupt state."""
    yield from spin_unlock(lock)
    yield local_irq_restore(flags)


def ticket_lock(lock: TicketLock) -> Program[None]:
    """Take the lock in the order of arrival, spinning, with preemption off."""
    yield preempt_disable()
    ticket = yield atomic_long_fetch_add(lock.next, TICKET)
    yield smp_cond_load_acquire(lock.serving, ticket)


def ticket_unlock(lock: TicketLock) -> Program[None]:
    """Serve the next ticket; the holder alone writes that word."""
    ticket = yield read_once(lock.serving)
    yield smp_store_release(lock.serving, ticket + TICKET)
    yield preempt_enable()


def mutex_lock(lock: Mutex) -> Program[None]:
    """Take the mutex, sleeping: in no section, and in no interrupt."""
    while (yield cmpxchg(lock.locked, 0, 1)) != 0:
        yield wait_until(lock.locked, 0)


def mutex_trylock(lock: Mutex) -> Program[int]:
    """Take the mutex if it is free. Gives 1 where it was, else 0."""
    return (yield cmpxchg(lock.locked, 0, 1)) == 0


def mutex_unlock(lock: Mutex) -> Program[None]:
    """Hand over what was written, and let the mutex go."""
    yield smp_store_release(lock.locked, 0)


# --- for the check of the order in which locks are taken

takes(spin_lock, by=cmpxchg)
takes(spin_trylock, by=cmpxchg, tries=True)
releases(spin_unlock, by=smp_store_release)
takes(ticket_lock, by=smp_cond_load_acquire, offset=1)
releases(ticket_unlock, by=smp_store_release, offset=1)
takes(mutex_lock, by=cmpxchg)
takes(mutex_trylock, by=cmpxchg, tries=True)
releases(mutex_unlock, by=smp_store_release)
