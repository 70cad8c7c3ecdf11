"""Work queues: items in their order, one at a time; a flush waits for all of them, and never for its own."""

from __future__ import annotations

from typing import Literal

import pytest

from percpu_emu.kernel.workqueue import MAX_ITEMS, Workqueue, flush_workqueue, item_done, next_item, queue_item
from percpu_emu.lang.ops import Program, read_once, smp_processor_id, this_cpu_add, warn_on, write_once
from percpu_emu.lang.structures import Array, Struct, Word
from tests.explore.searched import of, searched, task

from .cases import Case

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
FLUSH = 100


class Slot(Struct):
    """What items of a CPU's queue add up to."""

    sum: Word


class Shared(Struct):
    """A queue for each CPU, and the item that was done last."""

    queues: Array[Workqueue, Literal[2]]
    last: Word


shared = Shared()
slot = Slot.static_per_cpu()


def queue_two(queue: int) -> Program[None]:
    yield from queue_item(shared.queues[queue], 1)
    yield from queue_item(shared.queues[queue], 2)


def worker(queue: int, items: int) -> Program[None]:
    """Does items of a queue; FLUSH waits for the queue's items, the others have to come in their order."""
    for place in range(items):
        item = yield from next_item(shared.queues[queue], place)
        if item == FLUSH:
            yield from flush_workqueue(shared.queues[0])
        else:
            last = yield read_once(shared.last)
            yield warn_on(last != item - 1)
            yield write_once(shared.last, item)
        yield from item_done(shared.queues[queue], place)


def queue_and_flush() -> Program[None]:
    yield from queue_two(0)
    yield from flush_workqueue(shared.queues[0])
    last = yield read_once(shared.last)
    yield warn_on(last != 2)


def queue_and_look() -> Program[None]:
    """Without the flush."""
    yield from queue_two(0)
    last = yield read_once(shared.last)
    yield warn_on(last != 2)


def queue_one(queue: int, item: int) -> Program[None]:
    yield from queue_item(shared.queues[queue], item)


def queue_too_many() -> Program[None]:
    for _ in range(MAX_ITEMS + 1):
        yield from queue_item(shared.queues[0], 1)


def queue_as_many() -> Program[None]:
    for _ in range(MAX_ITEMS):
        yield from queue_item(shared.queues[0], 1)


def worker_of_cpu() -> Program[None]:
    """A bound worker does its item on its CPU."""
    cpu = yield smp_processor_id()
    item = yield from next_item(shared.queues[cpu], 0)
    yield this_cpu_add(slot.sum, item)
    yield from item_done(shared.queues[cpu], 0)


def on_each_cpu() -> Program[int]:
    """Queue an item on the queue of each CPU, and wait for all."""
    for cpu in range(2):
        yield from queue_item(shared.queues[cpu], 3)
    for cpu in range(2):
        yield from flush_workqueue(shared.queues[cpu])
    return 1


CASES = [
    Case("flush_workqueue", of(task(queue_and_flush, 0), task(worker, None, 0, 2)),
         of(task(queue_and_look, 0), task(worker, None, 0, 2)), "warning"),
    Case("one worker", of(task(queue_two, 0, 0), task(worker, None, 0, 2)),
         of(task(queue_one, 0, 0, 1), task(queue_one, 1, 0, 2), task(worker, None, 0, 2)), "warning"),
    Case("an item that flushes its own queue", of(task(queue_one, 0, 1, FLUSH), task(worker, None, 1, 1)),
         of(task(queue_one, 0, 0, FLUSH), task(worker, None, 0, 1)), "deadlock"),
    Case("the room of a queue", of(task(queue_as_many)), of(task(queue_too_many)), "warning"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_queue_does_its_items(case: Case) -> None:
    case.hold()


def test_a_worker_of_each_cpu_does_its_item_there() -> None:
    found = searched(of(task(on_each_cpu), task(worker_of_cpu, 0), task(worker_of_cpu, 1)))
    assert found.violations == set()
    assert {sum(value == 3 for address, value in words if address >= 1 << 32) for words, _ in found.finals} == {2}
