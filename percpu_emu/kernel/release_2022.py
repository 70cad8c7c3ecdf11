"""The patch of April 2022: a dying cgroup frees its slots as well, and later updates go to its parent's slots.

"mm/memcg: Free percpu stats memory of dying memcg's", of a kernel whose counters have no atomic twin that an update
could go to. The order:

1. `css_offline` sets a flag: from here on an update looks for the nearest ancestor without one;
2. a grace period later no CPU is in an update that saw no flag, and a work item
3. flushes the slots of all possible CPUs into the cgroup's own totals, and frees them.

Where the patch as posted goes wrong, these programs do not follow it: an update looks for its cgroup inside the section
in which it adds (W1), a reader that sees the flag leaves the slots alone (W2), and a cgroup that was never made gives
its slots back (W3, `kernel.css`). What it does to the books stays (W4): a page that is charged to the child and
uncharged after its removal is +1 in the child's totals for ever, and -1 in the parent's.
"""

from __future__ import annotations

from typing import Final

from percpu_emu.kernel import memcg as patchset
from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.css import css_put_remote
from percpu_emu.kernel.layout import (
    CPU_POSSIBLE_MASK,
    CPUMASK_OF,
    CSS_FLAGS,
    CSS_PARENT,
    CSS_PERCPU_STATS_DISABLED,
    CSS_REFCNT,
    EVENTS,
    LRUVEC_STAT,
    LRUVEC_STAT_CPU,
    MASK_WORDS,
    MEMCG_LIST,
    MEMCG_NEXT,
    NODEINFO,
    NR_PAGE_EVENTS,
    PN_MEMCG,
    STAT,
    VMEVENTS,
    VMSTATS,
    VMSTATS_PERCPU,
)
from percpu_emu.kernel.memcg import mod_percpu_counter
from percpu_emu.kernel.percpu_ref import percpu_ref_get_remote
from percpu_emu.kernel.release import lruvec_flush_percpu, memcg_flush_percpu
from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    free_percpu,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    mark,
    nr_node_ids,
    queue_work,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    write_once,
)
from percpu_emu.lang.raw import __this_cpu_add

NULL = 0


# --- updates: in place of those of the patchset


def percpu_stats_memcg(memcg: int) -> Program[int]:
    """The cgroup, or its nearest ancestor whose slots are there; inside the section in which the update is made."""
    flags = yield read_once(memcg + CSS_FLAGS)
    if flags & CSS_PERCPU_STATS_DISABLED:
        yield mark("forwarded")
    while flags & CSS_PERCPU_STATS_DISABLED:
        memcg = yield read_once(memcg + CSS_PARENT)
        flags = yield read_once(memcg + CSS_FLAGS)
    return memcg


def mod_memcg_state(memcg: int, item: int, delta: int) -> Program[None]:
    """Add `delta` pages to `item` of a memory cgroup, or of the ancestor that has taken over."""
    flags = yield local_irq_save()
    yield rcu_read_lock()
    memcg = yield from percpu_stats_memcg(memcg)
    yield ledger_add(memcg + VMSTATS + item, delta)
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    yield from mod_percpu_counter(vmstats_percpu, STAT + item, memcg + VMSTATS + item, delta)
    yield ledger_commit()
    yield rcu_read_unlock()
    yield local_irq_restore(flags)


def mod_lruvec_state(pn: int, item: int, delta: int) -> Program[None]:
    """Add `delta` pages to a node `item`, of the cgroup and of its lruvec, or of that node's of the ancestor."""
    flags = yield local_irq_save()
    yield rcu_read_lock()
    child = yield read_once(pn + PN_MEMCG)
    memcg = yield from percpu_stats_memcg(child)
    if memcg != child:
        nid = 0
        while (yield read_once(child + NODEINFO + nid)) != pn:
            nid += 1
        pn = yield read_once(memcg + NODEINFO + nid)
    yield ledger_add(memcg + VMSTATS + item, delta)
    yield ledger_add(pn + LRUVEC_STAT + item, delta)
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    yield from mod_percpu_counter(vmstats_percpu, STAT + item, memcg + VMSTATS + item, delta)
    lruvec_stat = yield rcu_dereference(pn + LRUVEC_STAT_CPU)
    yield from mod_percpu_counter(lruvec_stat, item, pn + LRUVEC_STAT + item, delta)
    yield ledger_commit()
    yield rcu_read_unlock()
    yield local_irq_restore(flags)


def count_memcg_events(memcg: int, event: int, count: int) -> Program[None]:
    """Count `count` more of `event`."""
    flags = yield local_irq_save()
    yield rcu_read_lock()
    memcg = yield from percpu_stats_memcg(memcg)
    yield ledger_add(memcg + VMEVENTS + event, count)
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    yield from mod_percpu_counter(vmstats_percpu, EVENTS + event, memcg + VMEVENTS + event, count)
    yield ledger_commit()
    yield rcu_read_unlock()
    yield local_irq_restore(flags)


def count_page_event(memcg: int) -> Program[None]:
    """A page was charged or uncharged."""
    flags = yield local_irq_save()
    yield rcu_read_lock()
    memcg = yield from percpu_stats_memcg(memcg)
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    yield from __this_cpu_add(vmstats_percpu + NR_PAGE_EVENTS, 1)
    yield rcu_read_unlock()
    yield local_irq_restore(flags)


def memcg_page_state_exact(memcg: int, item: int) -> Program[int]:
    """The twin and every CPU's slot; 0 once the flag is set, as in the patch, which looks outside a section."""
    x = 0
    yield rcu_read_lock()
    flags = yield read_once(memcg + CSS_FLAGS)
    if flags & CSS_PERCPU_STATS_DISABLED == 0:
        x = yield read_once(memcg + VMSTATS + item)
        x += yield from percpu_sum((yield rcu_dereference(memcg + VMSTATS_PERCPU)), STAT + item, CPU_POSSIBLE_MASK)
    yield rcu_read_unlock()
    return x


UPDATES: Final = (
    (patchset.mod_memcg_state, mod_memcg_state),
    (patchset.mod_lruvec_state, mod_lruvec_state),
    (patchset.count_memcg_events, count_memcg_events),
    (patchset.count_page_event, count_page_event),
    (patchset.memcg_page_state_exact, memcg_page_state_exact),
)
"""Programs of the patchset, each with the one that stands in its place."""


# --- the release


def css_offline(memcg: int) -> Program[None]:
    """From here on updates go to the parent."""
    flags = yield read_once(memcg + CSS_FLAGS)
    yield write_once(memcg + CSS_FLAGS, flags | CSS_PERCPU_STATS_DISABLED)
    yield from percpu_ref_get_remote(memcg + CSS_REFCNT)
    yield call_rcu(percpu_stats_rcu_fn, memcg)


def percpu_stats_rcu_fn(memcg: int) -> Program[None]:
    """A grace period later: the rest is for a work item, which may sleep (queue_rcu_work)."""
    yield queue_work(percpu_stats_free_rwork_fn, memcg)


def percpu_stats_free_rwork_fn(memcg: int) -> Program[None]:
    """No CPU uses the slots any more: flush them, free them, forget them."""
    for nid in range((yield nr_node_ids())):
        pn = yield read_once(memcg + NODEINFO + nid)
        if pn:
            lruvec_stat = yield read_once(pn + LRUVEC_STAT_CPU)
            yield from lruvec_flush_percpu(pn, lruvec_stat, CPU_POSSIBLE_MASK)
            yield write_once(pn + LRUVEC_STAT_CPU, NULL)
            yield free_percpu(lruvec_stat)
    vmstats_percpu = yield read_once(memcg + VMSTATS_PERCPU)
    yield from memcg_flush_percpu(memcg, vmstats_percpu, CPU_POSSIBLE_MASK)
    yield write_once(memcg + VMSTATS_PERCPU, NULL)
    yield free_percpu(vmstats_percpu)
    yield from css_put_remote(memcg)


def memcg_hotplug_cpu_dead(cpu: int) -> Program[None]:
    """A CPU is dead: fold its slots, of every cgroup without the flag.

    The work item will add all possible CPUs' slots of the others, the dead one's too. It cannot begin before this
    section ends where the section has seen no flag.
    """
    cpumask = CPUMASK_OF + cpu * MASK_WORDS
    yield rcu_read_lock()
    memcg = yield rcu_dereference(MEMCG_LIST)
    while memcg:
        flags = yield read_once(memcg + CSS_FLAGS)
        if flags & CSS_PERCPU_STATS_DISABLED == 0:
            yield from memcg_flush_percpu(memcg, (yield rcu_dereference(memcg + VMSTATS_PERCPU)), cpumask)
            for nid in range((yield nr_node_ids())):
                pn = yield read_once(memcg + NODEINFO + nid)
                if pn:
                    yield from lruvec_flush_percpu(pn, (yield rcu_dereference(pn + LRUVEC_STAT_CPU)), cpumask)
        memcg = yield rcu_dereference(memcg + MEMCG_NEXT)
    yield rcu_read_unlock()
