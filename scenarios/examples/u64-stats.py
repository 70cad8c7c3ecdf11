"""A 64-bit counter of a 32-bit machine: two words, which a reader may see at different times.

include/linux/u64_stats_sync.h: on 64-bit machines one load suffices, on 32-bit ones a sequence count keeps readers from
a count that is half old and half new.
"""

from __future__ import annotations

from percpu_emu.kernel.seqlock import (
    SeqCount,
    read_seqcount_begin,
    read_seqcount_retry,
    write_seqcount_begin,
    write_seqcount_end,
)
from percpu_emu.lang.ops import Program, read_once, warn_on, write_once
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.lang.words import UINT_MAX
from percpu_emu.scenario.decorator import Contexts, scenario

OLD = UINT_MAX  # the count before the update, which carries into the upper half
NEW = OLD + 1


class U64(Struct):
    """u64 as a 32-bit machine has it."""

    low: Word
    high: Word


class Stats(Struct):
    """struct u64_stats_sync beside what it protects."""

    sync: SeqCount
    bytes: U64


stats = Stats()


def setup() -> Program[None]:
    """The lower half is full."""
    yield write_once(stats.bytes.low, OLD)


def add_one() -> Program[None]:
    """Add 1 to both halves, in two stores."""
    low = yield read_once(stats.bytes.low)
    high = yield read_once(stats.bytes.high)
    yield write_once(stats.bytes.low, (low + 1) & UINT_MAX)
    yield write_once(stats.bytes.high, high + (low + 1 >> 32))


def both_halves() -> Program[int]:
    """The count, in two loads."""
    low = yield read_once(stats.bytes.low)
    high = yield read_once(stats.bytes.high)
    return (high << 32) + low


def update() -> Program[None]:
    """Count, and let readers know."""
    yield from write_seqcount_begin(stats.sync)
    yield from add_one()
    yield from write_seqcount_end(stats.sync)


def fetch_torn() -> Program[None]:
    """The count is the old one or the new one."""
    count = yield from both_halves()  # wrong: the writer may be between its two stores
    yield warn_on(count < OLD or count > NEW)


@scenario(cpus=2, setup=setup, expect="warning", missing="the sequence count around the two loads")
def u64_torn(m: Contexts) -> None:
    """A reader of a 64-bit counter sees one half of the old count and one of the new.

    The count goes from 0xffffffff to 0x100000000. A reader that comes between the two stores finds 0: the lower half is
    new and the upper one old. Network statistics went backwards so on 32-bit machines.

    The fixed version, u64-stats, reads again where the sequence says that a writer came in between.
    """
    m.task(update, cpu=0)
    m.task(fetch_torn, cpu=1, name="fetch")


def fetch() -> Program[None]:
    """The count is the old one or the new one."""
    count = 0
    torn = 1
    while torn:
        start = yield from read_seqcount_begin(stats.sync)
        count = yield from both_halves()
        torn = yield from read_seqcount_retry(stats.sync, start)
    yield warn_on(count < OLD or count > NEW)


@scenario(cpus=2, setup=setup)
def u64_stats(m: Contexts) -> None:
    """A reader of a 64-bit counter uses two loads only if no writer came in between.

    The sequence is even and the same before and after the two loads.
    """
    m.task(update, cpu=0)
    m.task(fetch, cpu=1)
