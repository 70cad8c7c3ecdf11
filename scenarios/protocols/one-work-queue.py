"""Work that waits for other work: both on one ordered queue, or each kind on its own.

kernel/cgroup/cgroup.c; 79f919a89c9d of 2025, found by the LTP test cgroup_fj.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.workqueue import Workqueue, item_done, next_item, queue_item
from percpu_emu.lang.ops import Program, wait_until, write_once
from percpu_emu.lang.structures import Array, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

FREE_ROOT = 1
OFFLINE = 2


class Shared(Struct):
    """Two ordered queues, and whether the cgroup is offline."""

    queues: Array[Workqueue, Literal[2]]
    dead: Word


shared = Shared()


def destroy(queue: int, item: int) -> Program[None]:
    """Put a work item on a queue."""
    yield from queue_item(shared.queues[queue], item)


def worker(queue: int, items: int) -> Program[None]:
    """Do so many items, one after the other."""
    for place in range(items):
        item = yield from next_item(shared.queues[queue], place)
        if item == FREE_ROOT:
            yield wait_until(shared.dead, 1)
        else:
            yield write_once(shared.dead, 1)
        yield from item_done(shared.queues[queue], place)


@scenario(
    cpus=2,
    expect="deadlock",
    missing="a queue of its own for work that others wait for",
)
def one_work_queue(m: Contexts) -> None:
    """A work item waits for another that is behind it on the same queue.

    All of what is left to do when cgroups are destroyed goes to one queue, which does one item at a time. Freeing the
    root of a hierarchy waits until its cgroups are dead; the item that takes the cgroup offline stands behind it, and
    never has its turn (B13; 79f919a89c9d).

    The fixed version has a queue for each kind of work.
    """
    m.task(destroy, 0, FREE_ROOT, cpu=0, name="umount")
    m.task(destroy, 0, OFFLINE, cpu=1, name="rmdir")  # wrong: on the queue that waits for it
    m.task(worker, 0, 2)


@scenario(cpus=2)
def one_work_queue_fixed(m: Contexts) -> None:
    """Work that others wait for has a queue of its own.

    It is done whatever the other queue waits for.
    """
    m.task(destroy, 0, FREE_ROOT, cpu=0, name="umount")
    m.task(destroy, 1, OFFLINE, cpu=1, name="rmdir")
    m.task(worker, 0, 1, name="free worker")
    m.task(worker, 1, 1, name="offline worker")
