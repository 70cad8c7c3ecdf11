"""Hotplug as it is done here: the slots are those that the published pointer leads to."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    ledger_add,
    ledger_commit,
    per_cpu,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.setting import OBJECT_WORDS

NR_CPUS = 2
STATS = STATIC + 0  # where the slots are, on every CPU; NULL once they are released

TOTAL = STATIC + 2  # the atomic twin of the slots
ITEM = 5  # NR_SLAB_RECLAIMABLE
CANARY = 0x5BD1E995C3A17D00
NAMES = {OBJECT_WORDS + ITEM: "slot", ITEM: "stack canary"}


def setup() -> Program[None]:
    """One counter, a slot on every CPU; and what the kernel has in its static area."""
    slots = yield alloc_percpu(48, 8)
    yield write_once(STATS, slots)
    yield write_once(per_cpu(ITEM, 1), CANARY)


def update() -> Program[None]:
    """Add 1 to the slot of this CPU; to the atomic twin, once there is none."""
    yield ledger_add(TOTAL, 1)
    yield rcu_read_lock()
    slots = yield rcu_dereference(STATS)
    if slots:
        yield this_cpu_add(slots + ITEM, 1)
    else:
        yield atomic_long_add(TOTAL, 1)
    yield rcu_read_unlock()
    yield ledger_commit()


def cpu_dead(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    yield rcu_read_lock()
    slots = yield rcu_dereference(STATS)
    if slots:
        x = yield read_once(per_cpu(slots + ITEM, cpu))
        yield write_once(per_cpu(slots + ITEM, cpu), 0)
        yield atomic_long_add(TOTAL, x)
    yield rcu_read_unlock()


def total(counter: int) -> Program[int]:
    """The value of the counter: its twin, and its slots while there are some."""
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    if slots:
        for cpu in range(NR_CPUS):
            x += yield read_once(per_cpu(slots + ITEM, cpu))
    return x
