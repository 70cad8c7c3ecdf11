"""Two flushers, one list: the second finds it empty and frees its entry, at once or after a grace period."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    counted,
    kfree,
    kzalloc,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import FIRST_OBJECT
from percpu_emu.lang.structures import AtomicLong, Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

ENTRY = FIRST_OBJECT  # what the setup allocates


class Entry(Struct):
    """Statistics of a group that have changed."""

    delta: Word
    next: Ptr[Entry]


class Stats(Struct):
    """The first entry whose statistics have changed, and the sum of those that were flushed."""

    updated: Ptr[Entry]
    total: AtomicLong


stats = Stats()


def setup() -> Program[None]:
    """One entry is on the list."""
    entry = yield kzalloc(sizeof(Entry))
    with counted(stats.total, 1):
        yield write_once(entry.delta, 1)
        yield write_once(stats.updated, entry)


def flush() -> Program[None]:
    """Take the list and add what its entries hold."""
    yield rcu_read_lock()
    entry = yield xchg(stats.updated, 0)
    while entry:
        delta = yield read_once(entry.delta)
        yield atomic_long_add(stats.total, delta)
        entry = yield read_once(entry.next)
    yield rcu_read_unlock()


def total(address: int) -> Program[int]:
    """The value of the counter."""
    return (yield read_once(address))


def release(entry: Entry) -> Program[None]:
    """The group that the entry belongs to goes."""
    yield from flush()
    yield kfree(entry)  # wrong: another flusher may have the entry


@scenario(
    cpus=2,
    setup=setup,
    total=total,
    left=0,
    expect="use-after-free",
    missing="a second grace period, between the own flush and the free",
)
def two_flushers(m: Contexts) -> None:
    """An entry is freed by its owner while another flusher, which took the whole list, walks over it.

    Changed statistics hang on a list. A flusher takes the whole list at once and walks it; a group that is released
    flushes, too, so that it is on no list when it is freed. But it finds the list empty if another flusher has just
    taken it, with the group's own entry: that flusher still walks while the group is freed. So it was in blk-cgroup
    (S12; 20cb1c2fb756).

    The fixed version waits for a second grace period, after its own flush: the other flusher walks in a read-side
    section.
    """
    m.task(flush, cpu=0)
    m.task(release, ENTRY)


def waiting_release(entry: Entry) -> Program[None]:
    """The group that the entry belongs to goes."""
    yield from flush()
    yield synchronize_rcu()
    yield kfree(entry)


@scenario(cpus=2, setup=setup, total=total, left=0)
def two_flushers_fixed(m: Contexts) -> None:
    """An entry is freed a grace period after its owner's own flush.

    After its own flush the group is on no list that a flusher can still take; a grace period later those are finished,
    too, who took one before.
    """
    m.task(flush, cpu=0)
    m.task(waiting_release, ENTRY, name="release")
