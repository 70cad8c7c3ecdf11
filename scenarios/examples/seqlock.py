"""A sequence count: a reader takes an odd sequence for a start, or waits until it is even.

include/linux/seqlock.h; the idea is in L. Lamport, Concurrent reading and writing, 1977.
"""

from __future__ import annotations

from percpu_emu.kernel.seqlock import SeqLock, read_seqbegin, read_seqretry, write_seqlock, write_sequnlock
from percpu_emu.lang.ops import Program, read_once, warn_on, write_once
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Clock(Struct):
    """Two words that belong together, and their lock."""

    lock: SeqLock
    seconds: Word
    nanoseconds: Word


clock = Clock()


def tick() -> Program[None]:
    """Set both words."""
    yield from write_seqlock(clock.lock)
    x = yield read_once(clock.seconds)
    yield write_once(clock.seconds, x + 1)
    yield write_once(clock.nanoseconds, x + 1)
    yield from write_sequnlock(clock.lock)


def read_in_the_middle() -> Program[None]:
    """Read both words; they have to be of one tick."""
    torn = 1
    seconds = 0
    nanoseconds = 0
    while torn:
        start = yield read_once(clock.lock.count.sequence)  # wrong: odd while a writer writes
        seconds = yield read_once(clock.seconds)
        nanoseconds = yield read_once(clock.nanoseconds)
        torn = yield from read_seqretry(clock.lock, start)
    yield warn_on(seconds != nanoseconds)


@scenario(
    cpus=2,
    expect="warning",
    missing="waiting until the sequence is even",
)
def seqlock_odd_start(m: Contexts) -> None:
    """A reader of a seqlock begins in the middle of a write, and does not notice.

    A reader holds the sequence at its end against that at its start. Both are the same odd number if the reader begins
    and ends between two steps of one writer: it has the new seconds and the old nanoseconds.

    The fixed version, seqlock, begins by read_seqbegin, which waits for an even sequence.
    """
    m.task(tick, cpu=0)
    m.task(read_in_the_middle, cpu=1, name="read_clock")


def read_clock() -> Program[None]:
    """Read both words; they have to be of one tick."""
    torn = 1
    seconds = 0
    nanoseconds = 0
    while torn:
        start = yield from read_seqbegin(clock.lock)
        seconds = yield read_once(clock.seconds)
        nanoseconds = yield read_once(clock.nanoseconds)
        torn = yield from read_seqretry(clock.lock, start)
    yield warn_on(seconds != nanoseconds)


@scenario(cpus=3)
def seqlock(m: Contexts) -> None:
    """A reader of a seqlock uses only what it read between two writers.

    The sequence is even and the same before and after: no writer wrote meanwhile.
    """
    m.task(tick, cpu=[0, 1])
    m.task(read_clock, cpu=2)
