"""struct percpu_rw_semaphore, as programs: a reader counts itself on its CPU, a writer waits for a grace period.

kernel/locking/percpu-rwsem.c, as far as its guarantee goes. A reader that finds no writer adds 1 to a count of its CPU,
with preemption off; it may leave on another CPU. A writer raises its flag and waits for a grace period: by then every
reader has counted itself, or found the flag and waits. Then the writer moves what is counted to one counter, from which
readers subtract themselves while the flag is up, and sleeps until that is 0. The kernel's writer sums up the CPUs'
counts each time a reader leaves instead.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    cmpxchg,
    nr_cpu_ids,
    per_cpu,
    preempt_disable,
    preempt_enable,
    read_once,
    smp_store_release,
    synchronize_rcu,
    this_cpu_dec,
    this_cpu_inc,
    wait_until,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, Struct, Word


class PercpuRwSemaphore(Struct):
    """1 while a writer has it or waits for it; and the readers that such a writer waits for."""

    writer: Word
    readers: AtomicLong


class ReadCount(Struct):
    """On every CPU: readers that came in there, less those that left there."""

    read_count: Word


def percpu_down_read(sem: PercpuRwSemaphore, counts: ReadCount) -> Program[None]:
    """Come in as a reader; sleep while there is a writer."""
    while not (yield from percpu_down_read_trylock(sem, counts)):
        yield wait_until(sem.writer, 0)


def percpu_down_read_trylock(sem: PercpuRwSemaphore, counts: ReadCount) -> Program[int]:
    """Come in as a reader unless there is a writer. Gives 1 where it is in, else 0."""
    yield preempt_disable()
    writer = yield read_once(sem.writer)
    if not writer:
        yield this_cpu_inc(counts.read_count)
    yield preempt_enable()
    return not writer


def percpu_up_read(sem: PercpuRwSemaphore, counts: ReadCount) -> Program[None]:
    """Leave, on whichever CPU."""
    yield preempt_disable()
    if (yield read_once(sem.writer)):
        yield atomic_long_add(sem.readers, -1)
    else:
        yield this_cpu_dec(counts.read_count)
    yield preempt_enable()


def percpu_down_write(sem: PercpuRwSemaphore, counts: ReadCount) -> Program[None]:
    """Come in as the writer: keep readers out, and sleep until those that are in have left."""
    while (yield cmpxchg(sem.writer, 0, 1)):
        yield wait_until(sem.writer, 0)
    yield synchronize_rcu()
    yield from wait_for_readers(sem, counts)


def wait_for_readers(sem: PercpuRwSemaphore, counts: ReadCount) -> Program[None]:
    """Sleep until the readers that are counted have left."""
    inside = 0
    nr_cpus = yield nr_cpu_ids()
    for cpu in range(nr_cpus):
        count = yield read_once(per_cpu(counts.read_count, cpu))
        if count:  # the flag keeps all others from writing it
            yield write_once(per_cpu(counts.read_count, cpu), 0)
        inside += count
    yield atomic_long_add(sem.readers, inside)
    yield wait_until(sem.readers, 0)


def percpu_up_write(sem: PercpuRwSemaphore) -> Program[None]:
    """Let readers, or another writer, in."""
    yield smp_store_release(sem.writer, 0)
