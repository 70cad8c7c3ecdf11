"""v3 as posted, H2: hotplug looks at released slots only; a living cgroup's stay behind on the dead CPU."""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, STATIC
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


def cpu_dead(cpu: int) -> Program[None]:
    """Fold the slots of a CPU that is dead."""
    slots = yield read_once(OFFLINED)  # wrong: a living cgroup's slots are not there
    if slots:
        x = yield read_once(per_cpu(slots, cpu))
        yield atomic_long_add(TOTAL, x)


def total(counter: int) -> Program[int]:
    """What a reader finds: the twin, and the slots of the CPUs that are online."""
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    if slots:
        x += yield from percpu_sum(slots, 0, CPU_ONLINE_MASK)
    return x
