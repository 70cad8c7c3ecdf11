"""Three things that a release has to do, in each of the six orders."""

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
STATS = STATIC + 0  # where the slots are; NULL once updates go to the twin
TOTAL = STATIC + 1  # the atomic twin
NAMES = {OBJECT_WORDS: "slot"}


def setup() -> Program[None]:
    """A slot on every CPU."""
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


def swap() -> Program[None]:
    """Turn updates to the twin, and wait until all that still use the slots are over."""
    yield rcu_assign_pointer(STATS, 0)
    yield synchronize_rcu()


def flush(slots: int) -> Program[None]:
    """Add to the twin what the slots hold."""
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots, cpu))
    yield atomic_long_add(TOTAL, x)


def swap_flush_free() -> Program[None]:
    """The order of the patchset."""
    slots = yield read_once(STATS)
    yield from swap()
    yield from flush(slots)
    yield free_percpu(slots)


def swap_free_flush() -> Program[None]:
    """Free before the flush."""
    slots = yield read_once(STATS)
    yield from swap()
    yield free_percpu(slots)
    yield from flush(slots)


def flush_swap_free() -> Program[None]:
    """Flush before the swap."""
    slots = yield read_once(STATS)
    yield from flush(slots)
    yield from swap()
    yield free_percpu(slots)


def flush_free_swap() -> Program[None]:
    """Flush, free, and swap last."""
    slots = yield read_once(STATS)
    yield from flush(slots)
    yield free_percpu(slots)
    yield from swap()


def free_swap_flush() -> Program[None]:
    """Free first, then in order."""
    slots = yield read_once(STATS)
    yield free_percpu(slots)
    yield from swap()
    yield from flush(slots)


def free_flush_swap() -> Program[None]:
    """The other way round altogether."""
    slots = yield read_once(STATS)
    yield free_percpu(slots)
    yield from flush(slots)
    yield from swap()


def total(counter: int) -> Program[int]:
    """The value of the counter: its twin, and its slots while there are some."""
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    if slots:
        for cpu in range(NR_CPUS):
            x += yield read_once(per_cpu(slots, cpu))
    return x
