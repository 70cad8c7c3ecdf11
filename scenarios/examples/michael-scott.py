"""A queue without a lock: a consumer overtakes the tail, or helps it on first.

M. M. Michael and M. L. Scott, Simple, fast, and practical non-blocking and blocking concurrent queue algorithms, 1996;
here with RCU for its memory.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    cmpxchg,
    kfree,
    kzalloc,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    write_once,
)
from percpu_emu.lang.structures import Ptr, Struct, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Node(Struct):
    """An entry; the first one is taken already."""

    next: Ptr[Node]


class Queue(Struct):
    """The entry that was taken last, and one of the last two."""

    head: Ptr[Node]
    tail: Ptr[Node]


queue = Queue()


def setup() -> Program[None]:
    """An empty queue has one entry, which is taken."""
    node = yield kzalloc(sizeof(Node))
    yield write_once(queue.head, node)
    yield write_once(queue.tail, node)


def enqueue() -> Program[None]:
    """Link an entry behind the last; then move the tail."""
    node = yield kzalloc(sizeof(Node))
    yield rcu_read_lock()
    while True:
        tail = yield rcu_dereference(queue.tail)
        following = yield cmpxchg(tail.next, 0, node)
        if not following:
            break
        yield cmpxchg(queue.tail, tail, following)
    yield cmpxchg(queue.tail, tail, node)
    yield rcu_read_unlock()


def free(node: Node) -> Program[None]:
    """No task that could reach the entry is under way any more."""
    yield kfree(node)


def hasty_dequeue() -> Program[None]:
    """Take an entry, if there is one; what was the first goes."""
    yield rcu_read_lock()
    head = yield rcu_dereference(queue.head)
    following = yield rcu_dereference(head.next)
    if following and (yield cmpxchg(queue.head, head, following)) == head:
        yield call_rcu(free, head)  # wrong: the tail may still point to it
    yield rcu_read_unlock()


@scenario(
    cpus=3,
    setup=setup,
    expect="use-after-free",
    missing="moving the tail on before the head overtakes it",
)
def queue_overtakes_tail(m: Contexts) -> None:
    """A consumer frees the entry that the tail of the queue still points to.

    A producer links its entry and then moves the tail. A consumer in between takes the entry and frees the one before
    it, to which the tail still points: the next producer begins there. RCU does not help, as the entry can still be
    reached.

    The fixed version, queue-of-michael-and-scott, moves the tail on where it stands at the head.
    """
    m.task(enqueue, cpu=0, name="enqueue")
    m.task(enqueue, cpu=1, name="enqueue too")
    m.task(hasty_dequeue, cpu=2, name="dequeue")


def dequeue() -> Program[None]:
    """Take an entry, if there is one; what was the first goes."""
    yield rcu_read_lock()
    head = yield rcu_dereference(queue.head)
    tail = yield rcu_dereference(queue.tail)
    following = yield rcu_dereference(head.next)
    if following:
        if head == tail:
            yield cmpxchg(queue.tail, tail, following)
        if (yield cmpxchg(queue.head, head, following)) == head:
            yield call_rcu(free, head)
    yield rcu_read_unlock()


@scenario(cpus=3, setup=setup)
def queue_of_michael_and_scott(m: Contexts) -> None:
    """A consumer moves the tail of the queue on before it takes the entry behind it.

    The entry that is freed is reached neither from the head nor from the tail.
    """
    m.task(enqueue, cpu=0, name="enqueue")
    m.task(enqueue, cpu=1, name="enqueue too")
    m.task(dequeue, cpu=2)
