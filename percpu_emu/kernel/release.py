"""The patchset: a dying cgroup gives its per-CPU slots back at offline, not with its last reference (patches 3 to 6).

The order is what counts:

1. `css_offline` swaps in the atomics: it saves the pointers and publishes NULL, so that later updates go to the twins;
2. `call_rcu` waits for the updates that read the old pointers before;
3. `percpu_rcu_free` flushes: what the slots hold goes to the twins, one atomic add for each counter;
4. then it frees.

Flushing first would lose what is added to a slot after it was read; freeing without the wait would free slots that
an update still writes to. Where this differs from v3 as posted, `docs/v3.md` says why (H1 to H6).
"""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_take
from percpu_emu.kernel.css import css_put_remote
from percpu_emu.kernel.layout import (
    CPU_POSSIBLE_MASK,
    CPUMASK_OF,
    CSS_REFCNT,
    EVENTS,
    LRUVEC_STAT,
    LRUVEC_STAT_CPU,
    LRUVEC_STAT_CPU_OFFLINED,
    MASK_WORDS,
    MEMCG_LIST,
    MEMCG_NEXT,
    MEMCG_NR_STAT,
    NODEINFO,
    NR_VM_EVENT_ITEMS,
    NR_VM_NODE_STAT_ITEMS,
    STAT,
    VMEVENTS,
    VMSTATS,
    VMSTATS_PERCPU,
    VMSTATS_PERCPU_OFFLINED,
)
from percpu_emu.kernel.percpu_ref import percpu_ref_get_remote
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    call_rcu,
    free_percpu,
    nr_node_ids,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    warn_on,
    write_once,
)

NULL = 0


def css_offline(memcg: int) -> Program[None]:
    """The end of mem_cgroup_css_offline(): from here on updates are atomic. Nodes first, then the cgroup itself."""
    for nid in range((yield nr_node_ids())):
        pn = yield read_once(memcg + NODEINFO + nid)
        if pn:
            lruvec_stat = yield read_once(pn + LRUVEC_STAT_CPU)
            yield write_once(pn + LRUVEC_STAT_CPU_OFFLINED, lruvec_stat)
            yield rcu_assign_pointer(pn + LRUVEC_STAT_CPU, NULL)
    vmstats_percpu = yield read_once(memcg + VMSTATS_PERCPU)
    yield write_once(memcg + VMSTATS_PERCPU_OFFLINED, vmstats_percpu)
    yield rcu_assign_pointer(memcg + VMSTATS_PERCPU, NULL)
    yield from percpu_ref_get_remote(memcg + CSS_REFCNT)
    yield call_rcu(percpu_rcu_free, memcg)


def percpu_rcu_free(memcg: int) -> Program[None]:
    """A grace period later no CPU uses the slots: flush them, free them, forget them."""
    for nid in range((yield nr_node_ids())):
        pn = yield read_once(memcg + NODEINFO + nid)
        if pn:
            lruvec_stat = yield read_once(pn + LRUVEC_STAT_CPU_OFFLINED)
            yield from lruvec_flush_percpu(pn, lruvec_stat, CPU_POSSIBLE_MASK)
            yield free_percpu(lruvec_stat)
            yield write_once(pn + LRUVEC_STAT_CPU_OFFLINED, NULL)
            yield warn_on((yield read_once(pn + LRUVEC_STAT_CPU)) != NULL)
    vmstats_percpu = yield read_once(memcg + VMSTATS_PERCPU_OFFLINED)
    yield from memcg_flush_percpu(memcg, vmstats_percpu, CPU_POSSIBLE_MASK)
    yield free_percpu(vmstats_percpu)
    yield write_once(memcg + VMSTATS_PERCPU_OFFLINED, NULL)
    yield warn_on((yield read_once(memcg + VMSTATS_PERCPU)) != NULL)
    yield from css_put_remote(memcg)


def memcg_flush_percpu(memcg: int, vmstats_percpu: int, cpumask: int) -> Program[None]:
    """Move what the slots of those CPUs hold to the atomic twins: one atomic add for each counter that is not 0."""
    for item in range(MEMCG_NR_STAT):
        x = yield from percpu_take(vmstats_percpu, STAT + item, cpumask)
        if x:
            yield atomic_long_add(memcg + VMSTATS + item, x)
    for event in range(NR_VM_EVENT_ITEMS):
        x = yield from percpu_take(vmstats_percpu, EVENTS + event, cpumask)
        if x:
            yield atomic_long_add(memcg + VMEVENTS + event, x)


def lruvec_flush_percpu(pn: int, lruvec_stat: int, cpumask: int) -> Program[None]:
    """The same for one node's counters."""
    for item in range(NR_VM_NODE_STAT_ITEMS):
        x = yield from percpu_take(lruvec_stat, item, cpumask)
        if x:
            yield atomic_long_add(pn + LRUVEC_STAT + item, x)


def memcg_hotplug_cpu_dead(cpu: int) -> Program[None]:
    """A CPU is dead: fold its slots, of every cgroup that still has some.

    It takes the published pointer inside a read-side section. Is it NULL, the callback will add all possible CPUs'
    slots, the dead one's too; is it not, the callback cannot start before the section ends, and finds zeroes.
    """
    cpumask = CPUMASK_OF + cpu * MASK_WORDS
    yield rcu_read_lock()
    memcg = yield rcu_dereference(MEMCG_LIST)
    while memcg:
        vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
        if vmstats_percpu:
            yield from memcg_flush_percpu(memcg, vmstats_percpu, cpumask)
        for nid in range((yield nr_node_ids())):
            pn = yield read_once(memcg + NODEINFO + nid)
            if pn:
                lruvec_stat = yield rcu_dereference(pn + LRUVEC_STAT_CPU)
                if lruvec_stat:
                    yield from lruvec_flush_percpu(pn, lruvec_stat, cpumask)
        memcg = yield rcu_dereference(memcg + MEMCG_NEXT)
    yield rcu_read_unlock()


def css_free(memcg: int) -> Program[None]:
    """The last reference is gone; the slots have to be, too."""
    for nid in range((yield nr_node_ids())):
        pn = yield read_once(memcg + NODEINFO + nid)
        if pn:
            yield warn_on((yield read_once(pn + LRUVEC_STAT_CPU)) != NULL)
    yield warn_on((yield read_once(memcg + VMSTATS_PERCPU)) != NULL)
