"""A percpu_counter in a task and in an interrupt: the slot is emptied by a write, or by a subtraction.

lib/percpu_counter.c; it emptied the slot by a write until 2014.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    counted,
    per_cpu,
    preempt_disable,
    preempt_enable,
    read_once,
    this_cpu_add,
    this_cpu_read,
    this_cpu_sub,
    this_cpu_write,
)
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

BATCH = 2


class Slots(Struct):
    """What a CPU has not added to the count yet: less than the batch."""

    slot: Word


class Counter(Struct):
    """percpu_counter."""

    count: AtomicLong


slots = Slots.static_per_cpu()
counter = Counter()


def total(address: int) -> Program[int]:
    """The count with the slot of the only CPU."""
    x = yield read_once(address)
    x += yield read_once(per_cpu(slots.slot, 0))
    return x


def careless_add() -> Program[None]:
    """Add 1 to the slot; move it to the count, once it holds a batch."""
    with counted(counter.count, 1):
        yield preempt_disable()
        x = yield this_cpu_read(slots.slot)
        x += 1
        if x >= BATCH:
            yield atomic_long_add(counter.count, x)
            yield this_cpu_write(slots.slot, 0)
        else:
            yield this_cpu_write(slots.slot, x)  # wrong: an interrupt may have added to it since
        yield preempt_enable()


@scenario(
    cpus=1,
    total=total,
    expect="lost-count",
    missing="one instruction that adds to the slot, instead of a read and a write",
)
def percpu_counter_interrupted(m: Contexts) -> None:
    """An interrupt adds to the slot of a percpu_counter between the task's read and write of it.

    Turning preemption off keeps other tasks away from the slot, not interrupts. The task writes back what it had read,
    plus its own; what the interrupt added is lost. The block layer counted its requests so, and waited for ever for
    those that were lost, when a device was removed.

    The fixed version, percpu-counter, adds and subtracts by this_cpu_add and this_cpu_sub.
    """
    m.task(careless_add, cpu=0, name="task")
    m.interrupt(careless_add, cpu=0, name="interrupt")


def add() -> Program[None]:
    """Add 1 to the slot; move it to the count, once it holds a batch."""
    with counted(counter.count, 1):
        yield preempt_disable()
        x = yield this_cpu_read(slots.slot)
        x += 1
        if x >= BATCH:
            yield atomic_long_add(counter.count, x)
            yield this_cpu_sub(slots.slot, x - 1)
        else:
            yield this_cpu_add(slots.slot, 1)
        yield preempt_enable()


@scenario(cpus=1, total=total)
def percpu_counter(m: Contexts) -> None:
    """A percpu_counter adds to its slot in one instruction, and subtracts what it moved.

    What an interrupt adds in between stays in the slot.
    """
    m.task(add, cpu=0, name="task", turns=3)
    m.interrupt(add, cpu=0, name="interrupt")
