"""v3 as posted, H4: the pointer to the offlined slots is not cleared, and hotplug follows it after they are freed."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    free_percpu,
    per_cpu,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
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


def css_offline() -> Program[None]:
    """Turn updates to the atomic twin; flush the slots after a grace period."""
    slots = yield read_once(STATS)
    yield write_once(OFFLINED, slots)
    yield rcu_assign_pointer(STATS, 0)
    yield call_rcu(percpu_rcu_free, slots)


def percpu_rcu_free(slots: int) -> Program[None]:
    """No CPU uses the slots any more: flush them, free them."""
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots, cpu))
    yield atomic_long_add(TOTAL, x)
    yield free_percpu(slots)


def cpu_dead(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    yield rcu_read_lock()
    slots = yield rcu_dereference(OFFLINED)  # wrong: it stays set after they are freed
    if slots:
        x = yield read_once(per_cpu(slots, cpu))
        yield write_once(per_cpu(slots, cpu), 0)
        yield atomic_long_add(TOTAL, x)
    yield rcu_read_unlock()
