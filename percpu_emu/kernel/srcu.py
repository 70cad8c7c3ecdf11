"""SRCU: read-side sections that may sleep, each of a domain of its own; an updater waits for those of its domain.

kernel/rcu/srcutree.c without its tree and its callbacks. A reader counts itself, on its CPU, under the index that it
has found; `synchronize_srcu` turns new readers to the other index and waits until as many have left as came in. The
index is 0 or 1 here; in the kernel it is the lowest bit of a number.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_POSSIBLE_MASK
from percpu_emu.kernel.locks import Mutex, mutex_lock, mutex_unlock
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    cpu_relax,
    free_percpu,
    read_once,
    smp_mb,
    this_cpu_inc,
    write_once,
)
from percpu_emu.lang.structures import Array, PerCpu, Struct, Word, sizeof

ENOMEM = 12


class SrcuCounts(Struct):
    """How many readers came in on a CPU, and how many left there, by index; only sums over all CPUs mean something."""

    locks: Array[Word, Literal[2]]
    unlocks: Array[Word, Literal[2]]


class Srcu(Struct):
    """struct srcu_struct: the index of new readers, the counts, and the lock of updaters."""

    index: Word
    counts: PerCpu[SrcuCounts]
    lock: Mutex


def init_srcu_struct(srcu: Srcu) -> Program[int]:
    """Make the counts. Gives 0, or -ENOMEM."""
    counts = yield alloc_percpu(sizeof(SrcuCounts), 8)
    yield write_once(srcu.counts, counts)
    return 0 if counts else -ENOMEM


def cleanup_srcu_struct(srcu: Srcu) -> Program[None]:
    """Free the counts; no reader and no updater comes any more."""
    counts = yield read_once(srcu.counts)
    yield free_percpu(counts)


def srcu_read_lock(srcu: Srcu) -> Program[int]:
    """Begin a section, which may sleep. Gives the index, for `srcu_read_unlock`."""
    counts = yield read_once(srcu.counts)
    index = yield read_once(srcu.index)
    yield this_cpu_inc(counts.locks[index])
    yield smp_mb()
    return index


def srcu_read_unlock(srcu: Srcu, index: int) -> Program[None]:
    """End the section, on whichever CPU."""
    counts = yield read_once(srcu.counts)
    yield smp_mb()
    yield this_cpu_inc(counts.unlocks[index])


def synchronize_srcu(srcu: Srcu) -> Program[None]:
    """Wait until every section of this domain that is now open has ended. Sleeps: in no section of this domain."""
    yield from mutex_lock(srcu.lock)
    index = yield read_once(srcu.index)
    yield from srcu_wait_for_readers(srcu, 1 - index)  # that found this index before the last flip, and came in late
    yield from srcu_flip(srcu)
    yield from srcu_wait_for_readers(srcu, index)
    yield from mutex_unlock(srcu.lock)


def srcu_flip(srcu: Srcu) -> Program[None]:
    """Turn new readers to the other index; the caller holds the lock."""
    index = yield read_once(srcu.index)
    yield write_once(srcu.index, 1 - index)
    yield smp_mb()


def srcu_wait_for_readers(srcu: Srcu, index: int) -> Program[None]:
    """Until as many readers have left by an index as came in by it."""
    while not (yield from _has_no_reader(srcu, index)):
        yield cpu_relax()


def _has_no_reader(srcu: Srcu, index: int) -> Program[int]:
    """First who left, then who came in: in the other order the one who leaves may stand for one who stays."""
    counts = yield read_once(srcu.counts)
    left = yield from percpu_sum(counts.unlocks[index], 0, CPU_POSSIBLE_MASK)
    yield smp_mb()
    return (yield from percpu_sum(counts.locks[index], 0, CPU_POSSIBLE_MASK)) == left
