"""The memory controller's counters: how they are updated and read (mm/memcontrol.c, patches 1 and 2).

A counter is a slot on every CPU, added to without a lock, and an atomic twin. A slot that passes
MEMCG_CHARGE_BATCH is emptied into the twin; once the slots are released the pointer to them is NULL and every
update goes to the twin.
"""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import (
    CPU_POSSIBLE_MASK,
    EVENTS,
    LRUVEC_STAT,
    LRUVEC_STAT_CPU,
    MEMCG_CHARGE_BATCH,
    NODEINFO,
    NR_PAGE_EVENTS,
    PN_MEMCG,
    STAT,
    VMEVENTS,
    VMSTATS,
    VMSTATS_PERCPU,
)
from percpu_emu.lang.ops import (
    Program,
    __this_cpu_read,
    __this_cpu_write,
    atomic_long_add,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    mark,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
)
from percpu_emu.lang.raw import __this_cpu_add


def mod_percpu_counter(slots: int, slot: int, twin: int, delta: int) -> Program[None]:
    """Add to this CPU's slot; past the batch (strictly), move what it holds to the atomic twin."""
    x = yield __this_cpu_read(slots + slot)
    x += delta
    if abs(x) > MEMCG_CHARGE_BATCH:
        yield atomic_long_add(twin, x)
        x = 0
    yield __this_cpu_write(slots + slot, x)


def __mod_memcg_state(memcg: int, item: int, delta: int) -> Program[None]:
    """Add `delta` pages to `item`; interrupts are off."""
    yield rcu_read_lock()
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    if vmstats_percpu:
        yield from mod_percpu_counter(vmstats_percpu, STAT + item, memcg + VMSTATS + item, delta)
    else:
        yield mark("atomic path")
        yield atomic_long_add(memcg + VMSTATS + item, delta)
    yield rcu_read_unlock()


def __mod_lruvec_state(pn: int, item: int, delta: int) -> Program[None]:
    """Add `delta` pages to `item` of a cgroup and of its lruvec on one node: two read-side sections."""
    memcg = yield read_once(pn + PN_MEMCG)
    yield from __mod_memcg_state(memcg, item, delta)
    yield rcu_read_lock()
    lruvec_stat = yield rcu_dereference(pn + LRUVEC_STAT_CPU)
    if lruvec_stat:
        yield from mod_percpu_counter(lruvec_stat, item, pn + LRUVEC_STAT + item, delta)
    else:
        yield atomic_long_add(pn + LRUVEC_STAT + item, delta)
    yield rcu_read_unlock()


def __count_memcg_events(memcg: int, event: int, count: int) -> Program[None]:
    """Count `count` more of `event`; interrupts are off."""
    yield rcu_read_lock()
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    if vmstats_percpu:
        yield from mod_percpu_counter(vmstats_percpu, EVENTS + event, memcg + VMEVENTS + event, count)
    else:
        yield mark("atomic path")
        yield atomic_long_add(memcg + VMEVENTS + event, count)
    yield rcu_read_unlock()


# --- for callers: interrupts off around it, and the ledger told


def mod_memcg_state(memcg: int, item: int, delta: int) -> Program[None]:
    """Add `delta` pages to `item` of a memory cgroup."""
    flags = yield local_irq_save()
    yield ledger_add(memcg + VMSTATS + item, delta)
    yield from __mod_memcg_state(memcg, item, delta)
    yield ledger_commit()
    yield local_irq_restore(flags)


def mod_lruvec_state(pn: int, item: int, delta: int) -> Program[None]:
    """Add `delta` pages to a node `item` of a memory cgroup and of its lruvec on that node."""
    memcg = yield read_once(pn + PN_MEMCG)
    flags = yield local_irq_save()
    yield ledger_add(memcg + VMSTATS + item, delta)
    yield ledger_add(pn + LRUVEC_STAT + item, delta)
    yield from __mod_lruvec_state(pn, item, delta)
    yield ledger_commit()
    yield local_irq_restore(flags)


def count_memcg_events(memcg: int, event: int, count: int) -> Program[None]:
    """Count `count` more of `event` for a memory cgroup."""
    flags = yield local_irq_save()
    yield ledger_add(memcg + VMEVENTS + event, count)
    yield from __count_memcg_events(memcg, event, count)
    yield ledger_commit()
    yield local_irq_restore(flags)


def count_page_event(memcg: int) -> Program[None]:
    """A page was charged or uncharged (v1 thresholds). Not counted once the slots are released, as in the patch."""
    flags = yield local_irq_save()
    yield rcu_read_lock()
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    if vmstats_percpu:
        yield from __this_cpu_add(vmstats_percpu + NR_PAGE_EVENTS, 1)
    yield rcu_read_unlock()
    yield local_irq_restore(flags)


def mem_cgroup_nodeinfo(memcg: int, nid: int) -> Program[int]:
    """The per-node part of a memory cgroup."""
    return (yield read_once(memcg + NODEINFO + nid))


# --- readers


def memcg_page_state(memcg: int, item: int) -> Program[int]:
    """What memory.stat shows: the atomic twin, not below 0. Off by up to 32 for each CPU while the slots live."""
    x = yield read_once(memcg + VMSTATS + item)
    return max(x, 0)


def memcg_page_state_exact(memcg: int, item: int) -> Program[int]:
    """The atomic twin and every CPU's slot. Exact where nothing is updated meanwhile."""
    yield rcu_read_lock()
    x = yield read_once(memcg + VMSTATS + item)
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    if vmstats_percpu:
        x += yield from percpu_sum(vmstats_percpu, STAT + item, CPU_POSSIBLE_MASK)
    yield rcu_read_unlock()
    return x
