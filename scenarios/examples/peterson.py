"""Peterson's lock for two tasks: each raises its flag and then gives way, or gives way first.

G. L. Peterson, Myths about the mutual exclusion problem, 1981.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.lang.ops import Program, counted, cpu_relax, read_once, smp_mb, smp_store_release, write_once
from percpu_emu.lang.structures import Array, AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Lock(Struct):
    """Who wants the lock, whose turn it is to wait, and the count that it protects."""

    wants: Array[Word, Literal[2]]
    waits: Word
    total: AtomicLong


lock = Lock()


def count() -> Program[None]:
    """The critical section: a read and a write."""
    with counted(lock.total, 1):
        x = yield read_once(lock.total)
        yield write_once(lock.total, x + 1)


def enter(me: int) -> Program[None]:
    """Take the lock."""
    yield write_once(lock.wants[me], 1)
    yield write_once(lock.waits, me)
    yield smp_mb()
    yield from let_other_through(me)


def let_other_through(me: int) -> Program[None]:
    """Wait while the other wants the lock and came first."""
    while (yield read_once(lock.wants[1 - me])) and (yield read_once(lock.waits)) == me:
        yield cpu_relax()


def work(me: int) -> Program[None]:
    """Count under the lock."""
    yield from enter(me)
    yield from count()
    yield smp_store_release(lock.wants[me], 0)


def total(address: int) -> Program[int]:
    """The count."""
    return (yield read_once(address))


def work_giving_way_first(me: int) -> Program[None]:
    """Count under the lock."""
    yield write_once(lock.waits, me)
    yield write_once(lock.wants[me], 1)  # wrong: the other may have found no flag, and gone in
    yield from let_other_through(me)
    yield from count()
    yield write_once(lock.wants[me], 0)


@scenario(
    cpus=2,
    total=total,
    expect="lost-count",
    missing="raising the flag before giving way",
)
def peterson_gives_way_first(m: Contexts) -> None:
    """Peterson's lock with its two writes exchanged lets both tasks in.

    A task gives way and then raises its flag. The second does both between the two writes of the first: it finds no
    flag and goes in. The first raises its flag, finds that the second was the last to give way, and goes in as well.
    No reordering by a processor is needed.

    The fixed version, peterson, raises the flag first.
    """
    m.task(work_giving_way_first, 0, cpu=0, name="left")
    m.task(work_giving_way_first, 1, cpu=1, name="right")


@scenario(cpus=2, total=total)
def peterson(m: Contexts) -> None:
    """Peterson's lock lets one of two tasks in.

    The task that gives way last finds the other's flag raised, and waits. The barrier keeps a processor from reading
    the other's flag before it has written its own.
    """
    m.task(work, 0, cpu=0, name="left", turns=2)
    m.task(work, 1, cpu=1, name="right", turns=2)
