"""A bounded queue of one producer and one consumer: the entry is counted before it is written, or after.

Documentation/core-api/circular-buffers.rst; the algorithm is in L. Lamport, Specifying concurrent program modules,
1983.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    read_once,
    smp_load_acquire,
    smp_store_release,
    warn_on,
    write_once,
)
from percpu_emu.lang.structures import Array, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

SIZE = 2


class Ring(Struct):
    """How many entries were put in and taken out, and where they stand."""

    head: Word
    tail: Word
    entries: Array[Word, Literal[2]]


ring = Ring()


def wait_for_room() -> Program[int]:
    """The number of the entry that comes next, once there is room for it."""
    head = yield read_once(ring.head)
    while head - (yield smp_load_acquire(ring.tail)) == SIZE:
        yield cpu_relax()
    return head


def consume(turn: int) -> Program[None]:
    """Take an entry; they come in order."""
    tail = yield read_once(ring.tail)
    while (yield smp_load_acquire(ring.head)) == tail:
        yield cpu_relax()
    entry = yield read_once(ring.entries[tail % SIZE])
    yield warn_on(entry != turn + 1)
    yield smp_store_release(ring.tail, tail + 1)


def hasty_produce(turn: int) -> Program[None]:
    """Put an entry in."""
    head = yield from wait_for_room()
    yield smp_store_release(ring.head, head + 1)
    yield write_once(ring.entries[head % SIZE], turn + 1)  # wrong: the consumer may have read it already


@scenario(
    cpus=2,
    expect="warning",
    missing="writing the entry before counting it",
)
def ring_counted_first(m: Contexts) -> None:
    """The consumer of a bounded queue reads an entry that is counted and not written yet.

    Head and tail are each written by one side only, so that no lock is needed; but the head says that what is before
    it is there. The producer moves it first.

    The fixed version, ring-of-two, writes the entry, then moves the head.
    """
    m.task(hasty_produce, "turn", cpu=0, name="produce")
    m.task(consume, "turn", cpu=1)


def produce(turn: int) -> Program[None]:
    """Put an entry in."""
    head = yield from wait_for_room()
    yield write_once(ring.entries[head % SIZE], turn + 1)
    yield smp_store_release(ring.head, head + 1)


@scenario(cpus=2)
def ring_of_two(m: Contexts) -> None:
    """Producer and consumer of a bounded queue share it without a lock.

    Four entries go through two places, in order.
    """
    m.task(produce, "turn", cpu=0, turns=4)
    m.task(consume, "turn", cpu=1, turns=4)
