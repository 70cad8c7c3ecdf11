"""A per-CPU reader-writer semaphore: the writer sums the readers at once, or after a grace period.

kernel/locking/percpu-rwsem.c; `percpu_emu.kernel.percpu_rwsem` has its programs.
"""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_POSSIBLE_MASK
from percpu_emu.kernel.percpu_rwsem import (
    PercpuRwSemaphore,
    ReadCount,
    percpu_down_read,
    percpu_down_write,
    percpu_up_read,
    percpu_up_write,
)
from percpu_emu.lang.ops import Program, read_once, warn_on, write_once
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Pair(Struct):
    """What the semaphore protects: two words that agree."""

    one: Word
    other: Word


semaphore = PercpuRwSemaphore()
read_counts = ReadCount.static_per_cpu()
pair = Pair()


def read_pair() -> Program[None]:
    """Read both words as a reader; they have to agree."""
    yield from percpu_down_read(semaphore, read_counts)
    x = yield read_once(pair.one)
    yield warn_on(x != (yield read_once(pair.other)))
    yield from percpu_up_read(semaphore, read_counts)


def write_pair() -> Program[None]:
    """Write both words, and let readers in again."""
    yield write_once(pair.one, 1)
    yield write_once(pair.other, 1)
    yield from percpu_up_write(semaphore)


def hasty_write() -> Program[None]:
    """Write both words as the writer, unless a reader is in."""
    yield write_once(semaphore.writer, 1)
    inside = yield from percpu_sum(read_counts, 0, CPU_POSSIBLE_MASK)
    if not inside:  # wrong: a reader may have found no writer, and not counted itself yet
        yield from write_pair()


@scenario(
    cpus=2,
    expect="warning",
    missing="the wait for a grace period between raising the flag and summing the readers",
)
def rwsem_without_grace_period(m: Contexts) -> None:
    """A writer goes in beside a reader that has found no writer and not counted itself yet.

    The fast path of a reader is a read of the flag and an addition to a count of its CPU, without a lock or a barrier.
    A writer that raises the flag and sums the counts in between finds nothing, and writes while the reader reads.

    The fixed version, rwsem, waits for a grace period behind the flag: readers that found it down are counted by then.
    """
    m.task(read_pair, cpu=0)
    m.task(hasty_write, cpu=1, name="write")


def write() -> Program[None]:
    """Write both words as the writer."""
    yield from percpu_down_write(semaphore, read_counts)
    yield from write_pair()


@scenario(cpus=2)
def rwsem(m: Contexts) -> None:
    """A writer waits for a grace period, and then for the readers that are counted.

    After the grace period every reader has either counted itself or found the flag, for which it waits. A reader may
    leave on another CPU than it came in on.
    """
    m.task(read_pair, cpu=0, migrates=1)
    m.task(write, cpu=1)
