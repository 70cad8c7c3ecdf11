"""A per-CPU reader-writer semaphore, simplified: the writer sums the readers at once, or after a grace period.

kernel/locking/percpu-rwsem.c, with one writer: a reader that finds no writer counts itself in a slot of its CPU.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    per_cpu,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_store_release,
    synchronize_rcu,
    this_cpu_dec,
    this_cpu_inc,
    wait_until,
    warn_on,
    write_once,
)
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2


class Readers(Struct):
    """Readers that came in on a CPU, less those that left there; only the sum counts."""

    read_count: Word


class Semaphore(Struct):
    """1 while a writer has it or waits for it; and what it protects."""

    writer: Word
    one: Word
    other: Word


readers = Readers.static_per_cpu()
semaphore = Semaphore()


def percpu_down_read() -> Program[None]:
    """Come in as a reader, unless a writer is there."""
    inside = 0
    while not inside:
        yield rcu_read_lock()
        if not (yield read_once(semaphore.writer)):
            yield this_cpu_inc(readers.read_count)
            inside = 1
        yield rcu_read_unlock()
        if not inside:
            yield wait_until(semaphore.writer, 0)


def read_pair() -> Program[None]:
    """Read both words as a reader; they have to agree."""
    yield from percpu_down_read()
    x = yield read_once(semaphore.one)
    y = yield read_once(semaphore.other)
    yield warn_on(x != y)
    yield this_cpu_dec(readers.read_count)


def wait_for_readers() -> Program[None]:
    """Until there are as many that left as came in."""
    inside = 1
    while inside:
        yield cpu_relax()
        inside = 0
        for cpu in range(NR_CPUS):
            inside += yield read_once(per_cpu(readers.read_count, cpu))


def write_pair() -> Program[None]:
    """Write both words, and let readers in again."""
    yield write_once(semaphore.one, 1)
    yield write_once(semaphore.other, 1)
    yield smp_store_release(semaphore.writer, 0)


def hasty_write() -> Program[None]:
    """Write both words as the writer."""
    yield write_once(semaphore.writer, 1)
    yield from wait_for_readers()  # wrong: a reader may have found no writer, and not counted itself yet
    yield from write_pair()


@scenario(
    cpus=2,
    expect="warning",
    missing="the wait for a grace period between raising the flag and summing the readers",
)
def rwsem_without_grace_period(m: Contexts) -> None:
    """A writer goes in beside a reader that has found no writer and not counted itself yet.

    The fast path of a reader is a read of the flag and an addition to a slot of its CPU, without a lock or a barrier.
    A writer that raises the flag and sums the slots in between finds nothing, and writes while the reader reads.

    The fixed version, rwsem, waits for a grace period behind the flag: readers that found it down are counted by then.
    """
    m.task(read_pair, cpu=0)
    m.task(hasty_write, cpu=1, name="write")


def write() -> Program[None]:
    """Write both words as the writer."""
    yield write_once(semaphore.writer, 1)
    yield synchronize_rcu()
    yield from wait_for_readers()
    yield from write_pair()


@scenario(cpus=2)
def rwsem(m: Contexts) -> None:
    """A writer waits for a grace period, and then for the readers that are counted.

    After the grace period every reader has either counted itself or found the flag, for which it waits. A reader may
    leave on another CPU than it came in on.
    """
    m.task(read_pair, cpu=0, migrates=1)
    m.task(write, cpu=1)
