"""An MCS lock: the holder that finds no successor gives the lock up by a write, or by a compare-and-swap.

J. M. Mellor-Crummey and M. L. Scott, Algorithms for scalable synchronization on shared-memory multiprocessors, 1991;
kernel/locking/mcs_spinlock.h.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    cmpxchg,
    counted,
    cpu_relax,
    read_once,
    smp_cond_load_acquire,
    smp_store_release,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import AtomicLong, Ptr, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Node(Struct):
    """A place in the queue: its successor, and whether the lock was handed over."""

    next: Ptr[Node]
    granted: Word


class Lock(Struct):
    """The last in the queue, and the count that the lock protects."""

    tail: Ptr[Node]
    total: AtomicLong


lock = Lock()
first = Node()
second = Node()
third = Node()


def count() -> Program[None]:
    """The critical section: a read and a write."""
    with counted(lock.total, 1):
        x = yield read_once(lock.total)
        yield write_once(lock.total, x + 1)


def total(address: int) -> Program[int]:
    """The count."""
    return (yield read_once(address))


def mcs_lock(node: Node) -> Program[None]:
    """Queue, and spin on the own place."""
    yield write_once(node.next, 0)
    yield write_once(node.granted, 0)
    before: Node = yield xchg(lock.tail, node)
    if before:
        yield smp_store_release(before.next, node)
        yield smp_cond_load_acquire(node.granted, 1)


def hand_over(node: Node) -> Program[None]:
    """Wait for the successor to link itself, and let it through."""
    after: Node = yield read_once(node.next)
    while not after:
        yield cpu_relax()
        after = yield read_once(node.next)
    yield smp_store_release(after.granted, 1)


def careless_work(node: Node) -> Program[None]:
    """Count under the lock."""
    yield from mcs_lock(node)
    yield from count()
    if (yield read_once(node.next)):
        yield from hand_over(node)
    else:
        yield write_once(lock.tail, 0)  # wrong: another may have queued since


@scenario(
    cpus=2,
    total=total,
    expect="deadlock",
    missing="the compare-and-swap of the tail, which fails where another has queued",
)
def mcs_forgets_a_waiter(m: Contexts) -> None:
    """The holder of an MCS lock overlooks a successor that has queued and not linked itself yet.

    A CPU queues in two steps: it swaps itself into the tail, then it links itself to its predecessor. A holder that
    looks in between sees no successor; it empties the queue by a plain write, and the successor spins for ever.

    The fixed version, mcs-lock-of-three, compares the tail with itself, and waits for the link where that fails.
    """
    m.task(careless_work, first, cpu=0, name="first")
    m.task(careless_work, second, cpu=1, name="second")


def work(node: Node) -> Program[None]:
    """Count under the lock."""
    yield from mcs_lock(node)
    yield from count()
    if (yield cmpxchg(lock.tail, node, 0)) != node:
        yield from hand_over(node)


@scenario(cpus=3, total=total)
def mcs_lock_of_three(m: Contexts) -> None:
    """Three CPUs take an MCS lock, each by a place of its own.

    The tail is emptied only while the holder is the last in the queue.
    """
    m.task(work, first, cpu=0, name="first")
    m.task(work, second, cpu=1, name="second")
    m.task(work, third, cpu=2, name="third")
