"""Work queues whose order, and whose waits for each other, are what is looked at: items that one worker does in turn.

kernel/workqueue.c, an ordered queue (max_active 1); one for each CPU, whose worker is a task there, stands for a bound
one. An item is a number, by which the worker knows what to do. Where the order does not matter, the operation
`queue_work` has a program run by itself. A worker is a program of its own, a task of the scenario:

    for place in range(items):
        item = yield from next_item(queue, place)
        ...
        yield from item_done(queue, place)
"""

from __future__ import annotations

from typing import Final, Literal

from percpu_emu.lang.ops import (
    Program,
    atomic_long_fetch_add,
    read_once,
    smp_store_release,
    wait_until,
    warn_on,
    write_once,
)
from percpu_emu.lang.structures import Array, AtomicLong, Struct, Word

MAX_ITEMS: Final = 8
PENDING: Final = 1
DONE: Final = 2


class WorkItem(Struct):
    """An item, and how far it is: 0 while there is none."""

    item: Word
    state: Word


class Workqueue(Struct):
    """struct workqueue_struct: how many items were queued in all, and the items in their order."""

    queued: AtomicLong
    items: Array[WorkItem, Literal[8]]


def queue_item(queue: Workqueue, item: int) -> Program[None]:
    """Put an item at the end. May be called anywhere; warns where the queue has had its MAX_ITEMS."""
    place = yield atomic_long_fetch_add(queue.queued, 1)
    yield warn_on(place >= MAX_ITEMS)
    yield write_once(queue.items[place].item, item)
    yield smp_store_release(queue.items[place].state, PENDING)


def next_item(queue: Workqueue, place: int) -> Program[int]:
    """The worker sleeps until there is an item at that place, counted from 0; which one."""
    yield wait_until(queue.items[place].state, PENDING)
    return (yield read_once(queue.items[place].item))


def item_done(queue: Workqueue, place: int) -> Program[None]:
    """The worker has done the item."""
    yield smp_store_release(queue.items[place].state, DONE)


def flush_workqueue(queue: Workqueue) -> Program[None]:
    """Sleep until all items that are queued by now are done. An item of the same queue that does so never ends."""
    queued = yield read_once(queue.queued)
    for place in range(queued):
        yield wait_until(queue.items[place].state, DONE)
