"""seqcount_t and seqlock_t: readers take no lock, and read again where a writer came in between.

include/linux/seqlock.h. The sequence is odd while a writer writes. A reader uses what it read only if
`read_seqretry` says 0: then all of it is from between two writers. It follows no pointer before that.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import SpinLock, spin_lock, spin_unlock
from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    preempt_disable,
    preempt_enable,
    read_once,
    smp_load_acquire,
    smp_rmb,
    smp_wmb,
    write_once,
)
from percpu_emu.lang.structures import Struct, Word


class SeqCount(Struct):
    """seqcount_t: the caller keeps writers from each other."""

    sequence: Word


class SeqLock(Struct):
    """seqlock_t: the count with the lock that its writers take."""

    count: SeqCount
    lock: SpinLock


def read_seqcount_begin(count: SeqCount) -> Program[int]:
    """The sequence, once it is even."""
    sequence = yield smp_load_acquire(count.sequence)
    while sequence & 1:
        yield cpu_relax()
        sequence = yield smp_load_acquire(count.sequence)
    return sequence


def read_seqcount_retry(count: SeqCount, start: int) -> Program[int]:
    """1 where a writer began since `start`, so that what was read may be torn; else 0."""
    yield smp_rmb()
    return (yield read_once(count.sequence)) != start


def write_seqcount_begin(count: SeqCount) -> Program[None]:
    """Readers wait from here on. Preemption is off: a reader on this CPU would spin for ever."""
    yield preempt_disable()
    sequence = yield read_once(count.sequence)
    yield write_once(count.sequence, sequence + 1)
    yield smp_wmb()


def write_seqcount_end(count: SeqCount) -> Program[None]:
    """What was written is whole."""
    yield smp_wmb()
    sequence = yield read_once(count.sequence)
    yield write_once(count.sequence, sequence + 1)
    yield preempt_enable()


def read_seqbegin(lock: SeqLock) -> Program[int]:
    """The sequence, once it is even."""
    return (yield from read_seqcount_begin(lock.count))


def read_seqretry(lock: SeqLock, start: int) -> Program[int]:
    """1 where what was read may be torn, else 0."""
    return (yield from read_seqcount_retry(lock.count, start))


def write_seqlock(lock: SeqLock) -> Program[None]:
    """Keep other writers away, and turn readers back."""
    yield from spin_lock(lock.lock)
    yield from write_seqcount_begin(lock.count)


def write_sequnlock(lock: SeqLock) -> Program[None]:
    """The opposite, in the opposite order."""
    yield from write_seqcount_end(lock.count)
    yield from spin_unlock(lock.lock)
