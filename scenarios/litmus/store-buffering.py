"""Two CPUs, each of which writes one word and then reads the other's."""

from __future__ import annotations

from typing import Literal

from percpu_emu.lang.ops import Program, read_once, smp_mb, write_once
from percpu_emu.lang.structures import Array, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Line(Struct):
    """A word that has two cache lines to itself."""

    word: Word
    rest: Array[Word, Literal[15]]


x = Line()
y = Line()
seen_first = Line()
seen_second = Line()


def first() -> Program[None]:
    """Write x, read y."""
    yield write_once(x.word, 1)
    r0 = yield read_once(y.word)
    yield write_once(seen_first.word, r0)


def second() -> Program[None]:
    """Write y, read x."""
    yield write_once(y.word, 1)
    r1 = yield read_once(x.word)
    yield write_once(seen_second.word, r1)


def first_with_mb() -> Program[None]:
    """The same with a barrier in between."""
    yield write_once(x.word, 1)
    yield smp_mb()
    r0 = yield read_once(y.word)
    yield write_once(seen_first.word, r0)


def second_with_mb() -> Program[None]:
    """The same with a barrier in between."""
    yield write_once(y.word, 1)
    yield smp_mb()
    r1 = yield read_once(x.word)
    yield write_once(seen_second.word, r1)


def r0() -> Program[int]:
    """What the first one read."""
    return (yield read_once(seen_first.word))


def r1() -> Program[int]:
    """What the second one read."""
    return (yield read_once(seen_second.word))


IN_ORDER = [
    {"result": "1, 1", "explain": "Both wrote before either read."},
    {"result": "0, 1", "explain": "The first was through before the second began to write."},
    {"result": "1, 0", "explain": "The second was through before the first began to write."},
]


@scenario(
    cpus=2,
    observe=[r0, r1],
    seconds=5.0,
    outcomes=[
        *IN_ORDER,
        {
            "result": "0, 0",
            "expect": "interesting",
            "explain": "Both reads went ahead of the writes, which waited in store buffers: no interleaving, but x86.",
        },
    ],
)
def store_buffering(m: Contexts) -> None:
    """Outcomes: two CPUs write one word each and read the other's; both may read the old value.

    Each CPU writes its word and then reads the other's. In every interleaving at least one of them reads what
    the other has written: `explore` finds no order in which both read 0. A processor does: it lets a read go
    ahead of its own write, which waits in a store buffer. So rounds on real processes give "0, 0", now and
    then. store-buffering-mb has a barrier.
    """
    m.task(first, cpu=0)
    m.task(second, cpu=1)


@scenario(
    cpus=2,
    observe=[r0, r1],
    seconds=5.0,
    outcomes=[
        *IN_ORDER,
        {
            "result": "0, 0",
            "expect": "forbidden",
            "explain": "The barriers have each write seen before the read: one of them would have read 1.",
        },
    ],
)
def store_buffering_mb(m: Contexts) -> None:
    """Outcomes: the same with a barrier between write and read; one of them sees the other.

    store-buffering with `smp_mb` between the write and the read: a read no longer goes ahead of the write
    before it.
    """
    m.task(first_with_mb, cpu=0)
    m.task(second_with_mb, cpu=1)
