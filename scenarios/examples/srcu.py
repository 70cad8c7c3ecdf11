"""SRCU, wrong in the wait for readers: they are summed in the wrong order, or by one of the two indices alone.

kernel/rcu/srcutree.c; P. E. McKenney, Sleepable RCU, 2006, and the counting of 2012 by L. Jiangshan.
"""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_POSSIBLE_MASK
from percpu_emu.kernel.locks import mutex_lock, mutex_unlock
from percpu_emu.kernel.srcu import (
    Srcu,
    init_srcu_struct,
    srcu_flip,
    srcu_read_lock,
    srcu_read_unlock,
    srcu_wait_for_readers,
    synchronize_srcu,
)
from percpu_emu.lang.ops import Program, cpu_relax, kfree, kzalloc, read_once, smp_mb, write_once, xchg
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Object(Struct):
    """What readers look at."""

    value: Word


class Shared(Struct):
    """The domain, and the object."""

    srcu: Srcu
    object: Ptr[Object]


shared = Shared()


def setup() -> Program[None]:
    """The object is published."""
    yield from init_srcu_struct(shared.srcu)
    made = yield kzalloc(sizeof(Object))
    yield write_once(shared.object, made)


def read() -> Program[None]:
    """Look at the object in a section."""
    index = yield from srcu_read_lock(shared.srcu)
    used = yield read_once(shared.object)
    if used:
        yield read_once(used.value)
    yield from srcu_read_unlock(shared.srcu, index)


# --- the order of the sums


def hasty_wait(srcu: Srcu, index: int) -> Program[None]:
    """Until as many readers have left by an index as came in by it."""
    there = 1
    while there:
        yield cpu_relax()
        counts = yield read_once(srcu.counts)
        there = yield from percpu_sum(counts.locks[index], 0, CPU_POSSIBLE_MASK)
        yield smp_mb()
        there -= yield from percpu_sum(counts.unlocks[index], 0, CPU_POSSIBLE_MASK)  # wrong: a late one may be in here


def hasty_remove() -> Program[None]:
    """Unpublish the object, and free it when no reader looks at it."""
    old = yield xchg(shared.object, 0)
    index = yield read_once(shared.srcu.index)
    yield from srcu_flip(shared.srcu)
    yield from hasty_wait(shared.srcu, index)
    yield kfree(old)


@scenario(
    cpus=2,
    setup=setup,
    expect="use-after-free",
    missing="summing who left before who came in",
)
def srcu_sums_locks_first(m: Contexts) -> None:
    """An updater counts a reader that left and not its coming, and takes it for the one that stays.

    The readers of the old index are counted where they came in and where they left, each on its CPU. A reader that has
    found the old index and comes in late, behind the first sum, and leaves before the second one, is counted once: the
    sums agree while another reader is still there.

    The fixed version, srcu, sums who left first.
    """
    m.task(read, cpu=0)
    m.task(read, cpu=1, name="late reader")
    m.task(hasty_remove, name="remove")


def remove() -> Program[None]:
    """Unpublish the object, and free it when no reader looks at it."""
    old = yield xchg(shared.object, 0)
    yield from synchronize_srcu(shared.srcu)
    yield kfree(old)


@scenario(cpus=2, setup=setup)
def srcu(m: Contexts) -> None:
    """An updater sums who left, then who came in, and waits for the readers of both indices.

    Whoever is counted as having left has come in before, and is counted there, too.
    """
    m.task(read, cpu=0)
    m.task(read, cpu=1, name="late reader")
    m.task(remove)


# --- the two indices


def hasty_synchronize() -> Program[None]:
    """Flip the index, and wait for the readers of the old one."""
    yield from mutex_lock(shared.srcu.lock)
    index = yield read_once(shared.srcu.index)
    yield from srcu_flip(shared.srcu)  # wrong: a reader may come in under the other index, found before the last flip
    yield from srcu_wait_for_readers(shared.srcu, index)
    yield from mutex_unlock(shared.srcu.lock)


def remove_after_one_wait() -> Program[None]:
    """Unpublish the object, and free it when no reader looks at it."""
    old = yield xchg(shared.object, 0)
    yield from hasty_synchronize()
    yield kfree(old)


@scenario(
    cpus=2,
    setup=setup,
    expect="use-after-free",
    missing="the wait for late readers of the other index before the flip",
)
def srcu_waits_once(m: Contexts) -> None:
    """A reader comes in by an index that was found before the last flip, and is not waited for.

    Between finding the index and counting itself under it, a reader may be held up for a whole grace period. The next
    one waits for the readers of the index that it takes out of use, and not for this one.

    The fixed version waits for the readers of the other index before it flips.
    """
    m.task(read, cpu=0)
    m.task(hasty_synchronize, cpu=1, name="other updater")
    m.task(remove_after_one_wait, name="remove")


def synchronize() -> Program[None]:
    """Another updater of the domain."""
    yield from synchronize_srcu(shared.srcu)


@scenario(cpus=2, setup=setup)
def srcu_waits_once_fixed(m: Contexts) -> None:
    """Each grace period waits for the readers of both indices.

    Those of the index that is not in use are late ones; no more can come than there are at the flip.
    """
    m.task(read, cpu=0)
    m.task(synchronize, cpu=1, name="other updater")
    m.task(remove)
