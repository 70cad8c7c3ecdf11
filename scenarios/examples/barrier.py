"""A barrier that is used again: tasks wait for the count to be 0, or for the sense to change.

J. M. Mellor-Crummey and M. L. Scott, Algorithms for scalable synchronization on shared-memory multiprocessors, 1991.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    atomic_long_add_return,
    read_once,
    smp_store_release,
    wait_until,
    warn_on,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

TASKS = 2


class Barrier(Struct):
    """How many tasks are there, which phase it is (0 or 1 in turn), and how many came to each phase."""

    count: AtomicLong
    sense: Word
    arrivals: AtomicLong


barrier = Barrier()


def arrive() -> Program[int]:
    """One more task is there. Gives 1 to the last one, else 0."""
    yield atomic_long_add_return(barrier.arrivals, 1)
    arrived = yield atomic_long_add_return(barrier.count, 1)
    return arrived == TASKS


def careless_wait(turn: int) -> Program[None]:
    """Wait until all tasks are there."""
    if (yield from arrive()):
        yield write_once(barrier.count, 0)
    else:
        yield wait_until(barrier.count, 0)  # wrong: the next phase may have begun to count
    yield from all_were_there(turn)


def all_were_there(turn: int) -> Program[None]:
    """As many came as there are tasks, in each phase up to this one."""
    arrivals = yield read_once(barrier.arrivals)
    yield warn_on(arrivals < TASKS * (turn + 1))


@scenario(
    cpus=2,
    expect="deadlock",
    missing="a sense that changes from phase to phase, to wait for instead of the count",
)
def barrier_used_again(m: Contexts) -> None:
    """A task goes through a barrier and comes back to it before the other has noticed that it is open.

    The last task sets the count to 0, which the others wait for. It is faster than they are, comes to the barrier again
    and counts itself. The others do not see 0 any more: all wait.

    The fixed version, barrier-with-a-sense, has tasks wait for the sense of their phase.
    """
    m.task(careless_wait, "turn", cpu="all", name="wait", turns=2)


def wait(turn: int) -> Program[None]:
    """Wait until all tasks are there."""
    sense = 1 - turn % 2
    if (yield from arrive()):
        yield write_once(barrier.count, 0)
        yield smp_store_release(barrier.sense, sense)
    else:
        yield wait_until(barrier.sense, sense)
    yield from all_were_there(turn)


@scenario(cpus=2)
def barrier_with_a_sense(m: Contexts) -> None:
    """Tasks wait at a barrier for the sense to change.

    The sense changes once more only when all are there again, so each task sees it.
    """
    m.task(wait, "turn", cpu="all", turns=3)
