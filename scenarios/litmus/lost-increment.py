"""Two CPUs count in one word, by a read and a write, or by one atomic addition."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, atomic_long_add, read_once, write_once
from percpu_emu.lang.structures import AtomicLong, Struct
from percpu_emu.scenario.decorator import Contexts, scenario


class Counter(Struct):
    """One word."""

    count: AtomicLong


counter = Counter()


def count() -> Program[None]:
    """Read, add, write."""
    x = yield read_once(counter.count)
    yield write_once(counter.count, x + 1)


def count_atomically() -> Program[None]:
    """One operation."""
    yield atomic_long_add(counter.count, 1)


def what_came_out() -> Program[int]:
    """The count."""
    return (yield read_once(counter.count))


@scenario(
    cpus=2,
    observe=[what_came_out],
    seconds=5.0,
    outcomes=[
        {"result": "2", "explain": "One after the other."},
        {
            "result": "1",
            "expect": "interesting",
            "explain": "The second read what the first had read, and overwrote what it wrote.",
        },
    ],
)
def lost_increment(m: Contexts) -> None:
    """Outcomes: two CPUs count in one word by a read and a write; one count may be lost.

    A counter that two CPUs share, incremented as `count++` is compiled: a load, an addition, a store. Where
    both load before either stores, one count is lost. atomic-increment does it with one LOCKed instruction.
    """
    m.task(count, cpu="all")


@scenario(
    cpus=2,
    observe=[what_came_out],
    seconds=5.0,
    outcomes=[
        {"result": "2", "explain": "One after the other."},
        {
            "result": "1",
            "expect": "forbidden",
            "explain": "An atomic addition reads and writes at once: nothing comes in between.",
        },
    ],
)
def atomic_increment(m: Contexts) -> None:
    """Outcomes: the same with an atomic addition; no count is lost.

    lost-increment with `atomic_long_add`.
    """
    m.task(count_atomically, cpu="all")
