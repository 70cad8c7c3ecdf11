"""v3 of the patchset as posted: four mistakes of its CPU hotplug callback, H1 to H4, and the callback as it is here.

After patch 6/6 a cgroup that goes offline moves the pointer to its slots to `offlined`, and the RCU callback flushes
and frees them. The hotplug callback looks at `offlined` as well.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    counted,
    free_percpu,
    per_cpu,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.structures import Array, AtomicLong, PerCpu, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2
ITEM = 5  # NR_SLAB_RECLAIMABLE
CANARY = 0x5BD1E995C3A17D00
NAMES = {ITEM: "stack canary"}  # in the static per-CPU area


class Slots(Struct):
    """What every CPU has of the counters."""

    others: Array[Word, Literal[5]]
    slot: Word


class Counter(Struct):
    """A counter; `stats` is NULL once it is offline, `offlined` has its slots between the swap and the flush."""

    stats: PerCpu[Slots]
    offlined: PerCpu[Slots]
    total: AtomicLong


counter = Counter()


def setup() -> Program[None]:
    """One counter, a slot on every CPU; and what the kernel has in its static area."""
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(counter.stats, slots)
    yield write_once(per_cpu(ITEM, 1), CANARY)


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


def total(address: int) -> Program[int]:
    """The value of the counter: its twin, and its slots while there are some."""
    x = yield read_once(address)
    slots = yield read_once(counter.stats)
    if slots:
        for cpu in range(NR_CPUS):
            x += yield read_once(per_cpu(slots.slot, cpu))
    return x


def total_online(address: int) -> Program[int]:
    """What a reader finds: the twin, and the slots of the CPUs that are online."""
    x = yield read_once(address)
    slots = yield read_once(counter.stats)
    if slots:
        x += yield from percpu_sum(slots.slot, 0, CPU_ONLINE_MASK)
    return x


def css_offline() -> Program[None]:
    """Turn updates to the atomic twin; flush the slots after a grace period."""
    slots = yield read_once(counter.stats)
    yield write_once(counter.offlined, slots)
    yield rcu_assign_pointer(counter.stats, 0)
    yield call_rcu(percpu_rcu_free, slots)


def percpu_rcu_free(slots: Slots) -> Program[None]:
    """No CPU uses the slots any more: forget them, flush them, free them."""
    yield write_once(counter.offlined, 0)
    yield from flush_and_free(slots)


def flush_and_free(slots: Slots) -> Program[None]:
    """Add to the twin what the slots hold."""
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    yield atomic_long_add(counter.total, x)
    yield free_percpu(slots)


def cpu_dead_fixed(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead, as it is done here: those of a counter that is online, which leaves zeroes.

    Is the published pointer NULL, the release counts all possible CPUs' slots, the dead one's too. Is it not, the
    release cannot flush before the section ends, and it finds zeroes.
    """
    yield rcu_read_lock()
    slots = yield rcu_dereference(counter.stats)
    if slots:
        x = yield read_once(per_cpu(slots.slot, cpu))
        yield write_once(per_cpu(slots.slot, cpu), 0)
        yield atomic_long_add(counter.total, x)
    yield rcu_read_unlock()


# --- H1


def cpu_dead_h1(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    slots = yield read_once(counter.offlined)  # wrong: NULL as long as the cgroup lives
    x = yield read_once(per_cpu(slots.slot, cpu))
    yield atomic_long_add(counter.total, x)


@scenario(
    cpus=2,
    setup=setup,
    total=total,
    expect="wrapped-counter",
    missing="looking at the published pointer, and at nothing where that is NULL",
)
def v3_h1_null_slots(m: Contexts) -> None:
    """v3 as posted, H1: CPU hotplug adds the dead CPU's stack canary to a living cgroup's counter.

    After patch 6/6 of v3 the CPU hotplug callback flushes `vmstats_percpu_offlined` of every cgroup. A living cgroup
    has NULL there, and per-CPU pointer NULL is a valid address: the start of the CPU's static area. On x86-64 the stack
    canary stands there at offset 40, where item 5 of the counters, NR_SLAB_RECLAIMABLE, is looked for. No crash,
    garbage in a counter. The archived review does not raise it (H1).

    The fixed version takes the published pointer inside a read-side section and leaves zeroes.
    """
    m.task(update, cpu=0)
    m.offline(cpu_dead_h1, "cpu", cpu=1, name="cpu_dead")


@scenario(cpus=2, setup=setup, total=total)
def v3_h1_null_slots_fixed(m: Contexts) -> None:
    """H1 corrected: CPU hotplug folds the slots that the published pointer leads to.

    Is the published pointer NULL, there is nothing to look at.
    """
    m.task(update, cpu=0)
    m.offline(cpu_dead_fixed, "cpu", cpu=1, name="cpu_dead")


# --- H2


def cpu_dead_h2(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    slots = yield read_once(counter.offlined)  # wrong: a living cgroup's slots are not there
    if slots:
        x = yield read_once(per_cpu(slots.slot, cpu))
        yield atomic_long_add(counter.total, x)


@scenario(
    cpus=2,
    setup=setup,
    total=total_online,
    expect="lost-count",
    missing="folding the slots that the published pointer leads to",
)
def v3_h2_live_not_folded(m: Contexts) -> None:
    """v3 as posted, H2: CPU hotplug no longer folds the dead CPU's slots of living cgroups.

    Patch 6/6 of v3 has the CPU hotplug callback flush `vmstats_percpu_offlined`, where up to then it folded the slots
    that are in use. So what a living cgroup had counted on a CPU that dies stays in its slot there, and a sum over the
    CPUs that are online misses it. (That the pointer is NULL for a living cgroup, H1, is tested for here.) The archived
    review does not raise it (H2).

    The fixed version takes the published pointer inside a read-side section and leaves zeroes.
    """
    m.task(update, cpu=1)
    m.offline(cpu_dead_h2, "cpu", cpu=1, name="cpu_dead")


@scenario(cpus=2, setup=setup, total=total_online)
def v3_h2_live_not_folded_fixed(m: Contexts) -> None:
    """H2 corrected: CPU hotplug folds the dead CPU's slots of living cgroups.

    A living cgroup's slots are those that the published pointer leads to.
    """
    m.task(update, cpu=1)
    m.offline(cpu_dead_fixed, "cpu", cpu=1, name="cpu_dead")


# --- H3


def cpu_dead_h3(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    yield rcu_read_lock()
    slots = yield rcu_dereference(counter.offlined)
    if slots:
        x = yield read_once(per_cpu(slots.slot, cpu))  # wrong: it stays there, for the release to be added again
        yield atomic_long_add(counter.total, x)
    yield rcu_read_unlock()


@scenario(
    cpus=2,
    setup=setup,
    total=total,
    left=0,
    expect="doubled-count",
    missing="deciding which of the two counts the dead CPU's slots",
)
def v3_h3_counted_twice(m: Contexts) -> None:
    """v3 as posted, H3: a CPU that dies between the swap and the flush is counted twice.

    Between publishing NULL and the RCU callback, a cgroup's slots hang at `vmstats_percpu_offlined`. A CPU that dies
    then has its slots added by the hotplug callback, which only reads them; the RCU callback adds all possible CPUs'
    slots, so those once more. (H1, H2 and H4 are kept out of the way here.) The archived review does not raise it (H3).

    The fixed version takes the published pointer inside a read-side section and leaves zeroes.
    """
    m.task(update, cpu=1)
    m.task(css_offline)
    m.offline(cpu_dead_h3, "cpu", cpu=1, name="cpu_dead")


@scenario(cpus=2, setup=setup, total=total, left=0)
def v3_h3_counted_twice_fixed(m: Contexts) -> None:
    """H3 corrected: between the swap and the flush only the release counts a dead CPU's slots.

    Is the published pointer NULL, the release counts all possible CPUs' slots, the dead one's too. Is it not, the
    release cannot flush before the section ends, and it finds zeroes.
    """
    m.task(update, cpu=1)
    m.task(css_offline)
    m.offline(cpu_dead_fixed, "cpu", cpu=1, name="cpu_dead")


# --- H4


def css_offline_h4() -> Program[None]:
    """Turn updates to the atomic twin; flush the slots after a grace period."""
    slots = yield read_once(counter.stats)
    yield write_once(counter.offlined, slots)
    yield rcu_assign_pointer(counter.stats, 0)
    yield call_rcu(percpu_rcu_free_h4, slots)


def percpu_rcu_free_h4(slots: Slots) -> Program[None]:
    """No CPU uses the slots any more: flush them, free them."""
    yield from flush_and_free(slots)


def cpu_dead_h4(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    yield rcu_read_lock()
    slots = yield rcu_dereference(counter.offlined)  # wrong: it stays set after they are freed
    if slots:
        x = yield read_once(per_cpu(slots.slot, cpu))
        yield write_once(per_cpu(slots.slot, cpu), 0)
        yield atomic_long_add(counter.total, x)
    yield rcu_read_unlock()


@scenario(
    cpus=2,
    setup=setup,
    left=0,
    expect="use-after-free",
    missing="forgetting the pointer before what it points to is freed",
)
def v3_h4_dangling_offlined(m: Contexts) -> None:
    """v3 as posted, H4: a CPU that dies after the flush has freed slots added.

    The RCU callback frees what `vmstats_percpu_offlined` points to and leaves the pointer as it is. The cgroup is
    dying, but as long as anything refers to it it is on the list that the hotplug callback walks: the next CPU that
    dies has freed per-CPU memory added to the counters, which may belong to another owner by then. The archived review
    does not raise it (H4).

    The fixed version takes the published pointer inside a read-side section and leaves zeroes.
    """
    m.task(css_offline_h4, name="css_offline")
    m.offline(cpu_dead_h4, "cpu", cpu=1, name="cpu_dead")


@scenario(cpus=2, setup=setup, left=0)
def v3_h4_dangling_offlined_fixed(m: Contexts) -> None:
    """H4 corrected: once the slots are freed, CPU hotplug does not look for them.

    The published pointer is NULL long before the slots are freed.
    """
    m.task(css_offline_h4, name="css_offline")
    m.offline(cpu_dead_fixed, "cpu", cpu=1, name="cpu_dead")
