"""Swap, wait for a grace period, flush, free."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    free_percpu,
    ledger_add,
    ledger_commit,
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
from percpu_emu.lang.setting import OBJECT_WORDS

NR_CPUS = 2
STATS = STATIC + 0  # where the slots are, on every CPU; NULL once they are released
TOTAL = STATIC + 1  # the atomic twin of the slots
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


def release() -> Program[None]:
    """Give the slots back."""
    slots = yield read_once(STATS)
    yield rcu_assign_pointer(STATS, 0)
    yield synchronize_rcu()
    yield from flush(slots)
    yield free_percpu(slots)


def flush(slots: int) -> Program[None]:
    """Add to the twin what the slots hold."""
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots, cpu))
    yield atomic_long_add(TOTAL, x)


def total(counter: int) -> Program[int]:
    """The value of the counter: its twin, and its slots while there are some."""
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    if slots:
        for cpu in range(NR_CPUS):
            x += yield read_once(per_cpu(slots, cpu))
    return x
