"""Three things that a release has to do, in each of the six orders."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    counted,
    free_percpu,
    per_cpu,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, PerCpu, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, Keys, scenario

NR_CPUS = 2


class Slots(Struct):
    """What every CPU has of a counter."""

    slot: Word


class Counter(Struct):
    """A counter; `stats` is NULL once updates go to the atomic twin."""

    stats: PerCpu[Slots]
    total: AtomicLong


counter = Counter()


def setup() -> Program[None]:
    """A slot on every CPU."""
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(counter.stats, slots)


def update() -> Program[None]:
    """Add 1 to the slot of this CPU; to the atomic twin, once there is none."""
    with counted(counter.total, 1):
        yield rcu_read_lock()
        slots = yield rcu_dereference(counter.stats)
        if slots:
            yield this_cpu_add(slots.slot, 1)
        else:
            yield atomic_long_add(counter.total, 1)
        yield rcu_read_unlock()


def swap() -> Program[None]:
    """Turn updates to the twin, and wait until all that still use the slots are over."""
    yield rcu_assign_pointer(counter.stats, 0)
    yield synchronize_rcu()


def flush(slots: Slots) -> Program[None]:
    """Add to the twin what the slots hold."""
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    yield atomic_long_add(counter.total, x)


def swap_flush_free() -> Program[None]:
    """The order of the patchset."""
    slots = yield read_once(counter.stats)
    yield from swap()
    yield from flush(slots)
    yield free_percpu(slots)


def swap_free_flush() -> Program[None]:
    """Free before the flush."""
    slots = yield read_once(counter.stats)
    yield from swap()
    yield free_percpu(slots)
    yield from flush(slots)


def flush_swap_free() -> Program[None]:
    """Flush before the swap."""
    slots = yield read_once(counter.stats)
    yield from flush(slots)
    yield from swap()
    yield free_percpu(slots)


def flush_free_swap() -> Program[None]:
    """Flush, free, and swap last."""
    slots = yield read_once(counter.stats)
    yield from flush(slots)
    yield free_percpu(slots)
    yield from swap()


def free_swap_flush() -> Program[None]:
    """Free first, then in order."""
    slots = yield read_once(counter.stats)
    yield free_percpu(slots)
    yield from swap()
    yield from flush(slots)


def free_flush_swap() -> Program[None]:
    """The other way round altogether."""
    slots = yield read_once(counter.stats)
    yield free_percpu(slots)
    yield from flush(slots)
    yield from swap()


def total(address: int) -> Program[int]:
    """The value of the counter: its twin, and its slots while there are some."""
    x = yield read_once(address)
    slots = yield read_once(counter.stats)
    if slots:
        for cpu in range(NR_CPUS):
            x += yield read_once(per_cpu(slots.slot, cpu))
    return x


ORDER: Keys = {"cpus": 2, "setup": setup, "total": total, "left": 0}


@scenario(**ORDER)
def order_swap_flush_free(m: Contexts) -> None:
    """Release in the order swap, flush, free.

    Updates go to the twin, the slots are flushed when no CPU uses them any more, then they are freed. Swap
    means: publish NULL and wait for a grace period. One of the six orders of swap, flush and free.
    """
    m.task(update, cpu="all")
    m.task(swap_flush_free)


@scenario(**ORDER, expect="use-after-free", missing="the swap and its wait before the free")
def order_flush_free_swap(m: Contexts) -> None:
    """Release in the order flush, free, swap.

    Updates go to slots that are freed. Swap means: publish NULL and wait for a grace period. One of the six
    orders of swap, flush and free.
    """
    m.task(update, cpu="all")
    m.task(flush_free_swap)


@scenario(**ORDER, expect="lost-count", missing="the swap and its wait before the flush")
def order_flush_swap_free(m: Contexts) -> None:
    """Release in the order flush, swap, free.

    An update that comes between the flush and the swap goes to a slot that is not read again. Swap means:
    publish NULL and wait for a grace period. One of the six orders of swap, flush and free.
    """
    m.task(update, cpu="all")
    m.task(flush_swap_free)


@scenario(**ORDER, expect="use-after-free", missing="the free at the end")
def order_free_flush_swap(m: Contexts) -> None:
    """Release in the order free, flush, swap.

    The flush reads slots that are freed, and so do updates. Swap means: publish NULL and wait for a grace
    period. One of the six orders of swap, flush and free.
    """
    m.task(update, cpu="all")
    m.task(free_flush_swap)


@scenario(**ORDER, expect="use-after-free", missing="the free at the end")
def order_free_swap_flush(m: Contexts) -> None:
    """Release in the order free, swap, flush.

    Updates, and then the flush, use slots that are freed. Swap means: publish NULL and wait for a grace period.
    One of the six orders of swap, flush and free.
    """
    m.task(update, cpu="all")
    m.task(free_swap_flush)


@scenario(**ORDER, expect="use-after-free", missing="the flush before the free")
def order_swap_free_flush(m: Contexts) -> None:
    """Release in the order swap, free, flush.

    What the slots held is gone before it is added to the twin. Swap means: publish NULL and wait for a grace
    period. One of the six orders of swap, flush and free.
    """
    m.task(update, cpu="all")
    m.task(swap_free_flush)
