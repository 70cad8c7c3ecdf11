"""One flusher at a time: others go on without flushing, or wait for their turn.

mm/memcontrol.c; 7d7ef0a4686a of 6.8.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.locks import Mutex, mutex_lock, mutex_unlock
from percpu_emu.lang.ops import Program, atomic_long_add, read_once, warn_on, write_once, xchg
from percpu_emu.lang.structures import Array, AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

OWN = 0
NR_CGROUPS = 2


class Stats(Struct):
    """Of two cgroups: what is not flushed yet, and what is; whether a flush is under way, and the flushers' mutex."""

    pending: Array[AtomicLong, Literal[2]]
    flushed: Array[Word, Literal[2]]
    ongoing: Word
    mutex: Mutex


stats = Stats()


def flush(cgroup: int) -> Program[None]:
    """Move what is pending of a cgroup."""
    x = yield read_once(stats.flushed[cgroup])
    x += yield xchg(stats.pending[cgroup], 0)
    yield write_once(stats.flushed[cgroup], x)


def flush_all_or_skip() -> Program[None]:
    """Flush all cgroups, unless a flush is under way."""
    if not (yield xchg(stats.ongoing, 1)):
        for cgroup in range(NR_CGROUPS):
            yield from flush(cgroup)
        yield write_once(stats.ongoing, 0)  # wrong: other tasks went on meanwhile, without their part


def read_own() -> Program[None]:
    """What the task added itself has to be in what it reads."""
    x = yield read_once(stats.flushed[OWN])
    yield warn_on(x < 1)


def update_and_read_hastily() -> Program[None]:
    """Count in the own cgroup, and read its statistics."""
    yield atomic_long_add(stats.pending[OWN], 1)
    yield from flush_all_or_skip()
    yield from read_own()


@scenario(
    cpus=2,
    expect="warning",
    missing="waiting for the flush that is under way, and flushing the own part behind it",
)
def flush_skipped(m: Contexts) -> None:
    """A task reads statistics without what it has added, because another flush is under way.

    Flushes of the whole tree contend for a lock, so only one runs at a time, and a task that comes meanwhile goes on
    without a flush. But the flush that runs may not have reached the part that was just changed, or may be past it:
    statistics were up to 2 s old (B12; 7d7ef0a4686a).

    The fixed version waits for a mutex, and flushes its own part.
    """
    m.task(flush_all_or_skip, cpu=0, name="flush")
    m.task(update_and_read_hastily, cpu=1, name="read")


def flush_in_turn(cgroup: int) -> Program[None]:
    """Flush a cgroup when no other flush is under way."""
    yield from mutex_lock(stats.mutex)
    yield from flush(cgroup)
    yield from mutex_unlock(stats.mutex)


def flush_all_in_turn() -> Program[None]:
    """Flush all cgroups, one after the other."""
    for cgroup in range(NR_CGROUPS):
        yield from flush_in_turn(cgroup)


def update_and_read() -> Program[None]:
    """Count in the own cgroup, and read its statistics."""
    yield atomic_long_add(stats.pending[OWN], 1)
    yield from flush_in_turn(OWN)
    yield from read_own()


@scenario(cpus=2)
def flush_skipped_fixed(m: Contexts) -> None:
    """A task that reads statistics waits for its turn to flush.

    Whatever was added before its flush is in what it reads.
    """
    m.task(flush_all_in_turn, cpu=0, name="flush")
    m.task(update_and_read, cpu=1, name="read")
