"""Hotplug as it is done here: between the swap and the flush it leaves the slots to the release."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    free_percpu,
    ledger_add,
    ledger_commit,
    per_cpu,
    rcu_assign_pointer,
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
OFFLINED = STATIC + 1  # where they are between the swap and the flush
TOTAL = STATIC + 2  # the atomic twin of the slots
NAMES = {OBJECT_WORDS: "slot"}


def setup() -> Program[None]:
    """One counter: a slot on every CPU."""
    slots = yield alloc_percpu(8, 8)
    yield write_once(STATS, slots)


def update() -> Program[None]:
    """Add 1 to the slot of this CPU; to the atomic twin, once there is none."""
    yield ledger_add(TOTAL, 1)
    yield rcu_read_lock()
    slots = yield rcu_dereference(STATS)
    if slots:
        yield this_cpu_add(slots, 1)
    else:
        yield atomic_long_add(TOTAL, 1)
    yield rcu_read_unlock()
    yield ledger_commit()


def css_offline() -> Program[None]:
    """Turn updates to the atomic twin; flush the slots after a grace period."""
    slots = yield read_once(STATS)
    yield write_once(OFFLINED, slots)
    yield rcu_assign_pointer(STATS, 0)
    yield call_rcu(percpu_rcu_free, slots)


def percpu_rcu_free(slots: int) -> Program[None]:
    """No CPU uses the slots any more: flush them, free them."""
    yield write_once(OFFLINED, 0)
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots, cpu))
    yield atomic_long_add(TOTAL, x)
    yield free_percpu(slots)


def cpu_dead(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    yield rcu_read_lock()
    slots = yield rcu_dereference(STATS)
    if slots:
        x = yield read_once(per_cpu(slots, cpu))
        yield write_once(per_cpu(slots, cpu), 0)
        yield atomic_long_add(TOTAL, x)
    yield rcu_read_unlock()


def total(counter: int) -> Program[int]:
    """The value of the counter: its twin, and its slots while there are some."""
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    if slots:
        for cpu in range(NR_CPUS):
            x += yield read_once(per_cpu(slots, cpu))
    return x
