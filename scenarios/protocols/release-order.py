"""Giving the slots of a counter back: the order of the patchset, and six ways to get it wrong.

A counter has a slot on every CPU and an atomic twin. Updates go to the slot as long as there is one. Giving the slots
back takes four steps: publish NULL, wait for a grace period, flush the slots into the twin, free them.
"""

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
    this_cpu_read,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, PerCpu, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, Keys, scenario

NR_CPUS = 2


class Slots(Struct):
    """What every CPU has of a counter."""

    slot: Word


class Counter(Struct):
    """A counter; `stats` is NULL once the slots are released."""

    stats: PerCpu[Slots]
    total: AtomicLong


counter = Counter()


def setup() -> Program[None]:
    """One counter: a slot on every CPU."""
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


def release() -> Program[None]:
    """Give the slots back, in the order of the patchset."""
    slots = yield read_once(counter.stats)
    yield rcu_assign_pointer(counter.stats, 0)
    yield synchronize_rcu()
    yield from flush(slots)
    yield free_percpu(slots)


def flush(slots: Slots) -> Program[None]:
    """Add to the twin what the slots hold."""
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    yield atomic_long_add(counter.total, x)


def total(address: int) -> Program[int]:
    """The value of the counter: its twin, and its slots while there are some."""
    x = yield read_once(address)
    slots = yield read_once(counter.stats)
    if slots:
        for cpu in range(NR_CPUS):
            x += yield read_once(per_cpu(slots.slot, cpu))
    return x


COUNTER: Keys = {"cpus": 2, "setup": setup, "total": total, "left": 0}


@scenario(**COUNTER)
def release_in_order(m: Contexts) -> None:
    """Updates are turned to the atomic twin, a grace period passes, the slots are flushed, then freed.

    The order of the patchset. Once NULL is published, updates begin to go to the atomic twin; those that have read the
    old pointer are over after a grace period; so the slots can be flushed, and no CPU adds to them any more. This is
    the fixed version of flush-then-swap, flush-before-grace-period, free-without-flush, free-without-grace-period and
    update-outside-section.
    """
    m.task(update, cpu=0)
    m.task(release)


# --- flush first


def flush_then_swap_release() -> Program[None]:
    """Give the slots back."""
    slots = yield read_once(counter.stats)
    yield from flush(slots)  # wrong: updates still go to the slots
    yield rcu_assign_pointer(counter.stats, 0)
    yield synchronize_rcu()
    yield free_percpu(slots)


@scenario(
    **COUNTER,
    expect="lost-count",
    missing="the swap to NULL and the wait for a grace period, both before the flush",
)
def flush_then_swap(m: Contexts) -> None:
    """The slots are flushed before updates are turned to the atomic twin.

    A counter that dies moves what its slots hold to the atomic twin and gives the slots back. Here it moves it first
    and publishes NULL after that: an update that comes in between adds to a slot that is not read any more. The grace
    period before the free keeps it from touching freed memory, so that nothing shows but a count that is too low: the
    kind of residual that Linux up to 5.2 dropped with every cgroup (S3).

    The fixed version, release-in-order, is the order of the patchset: publish NULL, wait, flush, free.
    """
    m.task(update, cpu=0)
    m.task(flush_then_swap_release, name="release")


# --- wait too late


def early_flush_release() -> Program[None]:
    """Give the slots back."""
    slots = yield read_once(counter.stats)
    yield rcu_assign_pointer(counter.stats, 0)
    yield from flush(slots)  # wrong: an update may have read the pointer before
    yield synchronize_rcu()
    yield free_percpu(slots)


@scenario(
    **COUNTER,
    expect="lost-count",
    missing="the wait for a grace period between publishing NULL and the flush",
)
def flush_before_grace_period(m: Contexts) -> None:
    """The slots are flushed before the updates that use them are over.

    NULL is published first and a grace period passes before the free, so no freed memory is touched. But the flush
    stands on the wrong side of the grace period: an update that has read the old pointer may add to its slot after
    that was read, and the free drops it.

    In the fixed version, release-in-order, the flush and the wait have changed places.
    """
    m.task(update, cpu=0)
    m.task(early_flush_release, name="release")


# --- no flush


def forgetful_release() -> Program[None]:
    """Give the slots back."""
    slots = yield read_once(counter.stats)
    yield rcu_assign_pointer(counter.stats, 0)
    yield synchronize_rcu()
    yield free_percpu(slots)  # wrong: with what they hold


@scenario(
    **COUNTER,
    expect="lost-count",
    missing="the flush between the grace period and the free",
)
def free_without_flush(m: Contexts) -> None:
    """The slots are freed with what they still hold.

    Slots hold what has not been moved to the atomic twin yet, up to 32 pages on every CPU. Freeing them drops it: no
    race is needed. Linux up to 5.2 did so with every cgroup (S3, c350a99ea2b1 and bb65f89b7d3d): the counters of the
    ancestors drifted for ever, on one host by 6 GB in 200 days.

    The fixed version, release-in-order, flushes the slots after the grace period.
    """
    m.task(update, cpu=0)
    m.task(forgetful_release, name="release")


# --- no wait


def hasty_release() -> Program[None]:
    """Give the slots back."""
    slots = yield read_once(counter.stats)
    yield rcu_assign_pointer(counter.stats, 0)
    yield from flush(slots)
    yield free_percpu(slots)  # wrong: an update may have read the pointer before


@scenario(
    **COUNTER,
    expect="use-after-free",
    missing="the wait for a grace period before the slots are freed",
)
def free_without_grace_period(m: Contexts) -> None:
    """The slots are freed while an update that has read the old pointer may still use them.

    Publishing NULL turns only those updates to the atomic twin that read the pointer afterwards. One that has read it
    before still adds to its slot, sooner or later: into memory that is free by then and may belong to another owner.

    The fixed version, release-in-order, waits for a grace period: no read-side section that was open when NULL was
    published is open after it.
    """
    m.task(update, cpu=0)
    m.task(hasty_release, name="release")


# --- an update that leaves its section too early


def update_outside() -> Program[None]:
    """Add 1 to the slot of this CPU; to the atomic twin, once there is none."""
    with counted(counter.total, 1):
        yield rcu_read_lock()
        slots = yield rcu_dereference(counter.stats)
        yield rcu_read_unlock()  # wrong: the pointer is used below
        if slots:
            yield this_cpu_add(slots.slot, 1)
        else:
            yield atomic_long_add(counter.total, 1)


@scenario(
    **COUNTER,
    expect="use-after-free",
    missing="the end of the read-side section after the last use of the pointer",
)
def update_outside_section(m: Contexts) -> None:
    """An update uses the pointer to the slots after its read-side section has ended.

    The release is right: swap, grace period, flush, free. But a grace period waits for sections, and the update ends
    its section as soon as it has the pointer. No grace period waits for what it does afterwards: it adds to a slot that
    is free. (The kernel's update runs with interrupts off, which RCU has waited for, too, since v4.20.)

    In the fixed version, release-in-order, the section ends after the last use.
    """
    m.task(update_outside, cpu=0, name="update")
    m.task(release)


# --- a flush that reads one CPU's slot again and again


def release_reading_one_slot() -> Program[None]:
    """Give the slots back."""
    slots = yield read_once(counter.stats)
    yield rcu_assign_pointer(counter.stats, 0)
    yield synchronize_rcu()
    x = 0
    for _cpu in range(NR_CPUS):
        x += yield this_cpu_read(slots.slot)  # wrong: always the current CPU's
    yield atomic_long_add(counter.total, x)
    yield free_percpu(slots)


@scenario(
    **COUNTER,
    expect="doubled-count",
    missing="the loop's CPU in the access to the slot",
)
def flush_current_cpu(m: Contexts) -> None:
    """The final flush adds the current CPU's slot once for every CPU.

    When a cgroup is freed, its slots are flushed CPU by CPU. The loop ran over all CPUs, but read the slot with
    raw_cpu_read: the current CPU's, again and again. It was added as many times as there are CPUs, the others' were
    lost (S2, 6c1c280805de in 5.3).

    The fixed version, flush-current-cpu-fixed, reads the slot of the CPU that the loop is at.
    """
    m.task(update, cpu=0)
    m.task(release_reading_one_slot, cpu=0, name="release")


@scenario(**COUNTER)
def flush_current_cpu_fixed(m: Contexts) -> None:
    """The final flush adds every CPU's slot once.

    Every turn of the loop reads the slot of the CPU that it is at.
    """
    m.task(update, cpu=0)
    m.task(release, cpu=0)
