"""The life of a memory cgroup's css: made, referenced, killed, released (kernel/cgroup/cgroup.c, v5.0).

rmdir kills the reference count; a grace period later the css goes offline, where the patchset releases the slots;
it stays, dying, until the last reference is dropped.
"""

from __future__ import annotations

from percpu_emu.kernel.layout import (
    CSS_DYING,
    CSS_FLAGS,
    CSS_ONLINE,
    CSS_PARENT,
    CSS_REFCNT,
    LRUVEC_STAT_CPU,
    MEMCG_LIST,
    MEMCG_NEXT,
    NODEINFO,
    PN_MEMCG,
    VMSTATS_PERCPU,
)
from percpu_emu.kernel.percpu_ref import (
    percpu_ref_exit,
    percpu_ref_get,
    percpu_ref_get_remote,
    percpu_ref_init,
    percpu_ref_kill,
    percpu_ref_put,
    percpu_ref_put_remote,
    percpu_ref_switch_to_atomic,
)
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    call_rcu,
    free_percpu,
    kfree,
    kzalloc,
    nr_node_ids,
    queue_work,
    rcu_assign_pointer,
    read_once,
    write_once,
)


def css_get(css: int) -> Program[None]:
    """Take a reference, on a CPU."""
    yield from percpu_ref_get(css + CSS_REFCNT)


def css_put(css: int) -> Program[None]:
    """Drop a reference; the last one has the css released."""
    last = yield from percpu_ref_put(css + CSS_REFCNT)
    if last:
        yield queue_work(css_release_work_fn, css)


def css_put_remote(css: int) -> Program[None]:
    """Drop a reference from a context that is no CPU: the coordinator, or a callback."""
    last = yield from percpu_ref_put_remote(css + CSS_REFCNT)
    if last:
        yield queue_work(css_release_work_fn, css)


# --- made


def mem_cgroup_alloc(size: int, vmstats_size: int, pn_size: int, lruvec_size: int) -> Program[int]:
    """A memory cgroup with its slots on every CPU and node, sizes in bytes; 0, and nothing kept, without memory.

    v3 as posted leaves the slots behind when this fails (H5): nothing frees them but css_offline.
    """
    memcg = yield kzalloc(size)
    if memcg == 0:
        return 0
    vmstats_percpu = yield alloc_percpu(vmstats_size, 8)
    yield rcu_assign_pointer(memcg + VMSTATS_PERCPU, vmstats_percpu)
    complete = int(vmstats_percpu != 0)
    for nid in range((yield nr_node_ids())):
        if complete:
            complete = yield from alloc_mem_cgroup_per_node_info(memcg, nid, pn_size, lruvec_size)
    if not complete:
        yield from free_mem_cgroup_percpu(memcg)
        yield from mem_cgroup_free(memcg)
        return 0
    return memcg


def alloc_mem_cgroup_per_node_info(memcg: int, nid: int, pn_size: int, lruvec_size: int) -> Program[int]:
    """The part of one node. Gives 1, or 0 where there is no memory."""
    pn = yield kzalloc(pn_size)
    if pn == 0:
        return 0
    lruvec_stat = yield alloc_percpu(lruvec_size, 8)
    yield write_once(pn + PN_MEMCG, memcg)
    yield rcu_assign_pointer(pn + LRUVEC_STAT_CPU, lruvec_stat)
    yield write_once(memcg + NODEINFO + nid, pn)
    return lruvec_stat != 0


def css_init(css: int) -> Program[int]:
    """Make the reference count. Gives 1, or 0 where there is no memory."""
    return (yield from percpu_ref_init(css + CSS_REFCNT))


def css_exit(css: int) -> Program[None]:
    """Undo `css_init`."""
    yield from percpu_ref_exit(css + CSS_REFCNT)


def online_css(css: int, parent: int) -> Program[None]:
    """Everything is there: hold the parent, become visible."""
    yield write_once(css + CSS_PARENT, parent)
    if parent:
        yield from percpu_ref_get_remote(parent + CSS_REFCNT)
    yield write_once(css + CSS_FLAGS, CSS_ONLINE)
    first = yield read_once(MEMCG_LIST)
    yield write_once(css + MEMCG_NEXT, first)
    yield rcu_assign_pointer(MEMCG_LIST, css)


# --- killed


def kill_css(css: int) -> Program[None]:
    """rmdir: no new references; once every CPU sees that, the css goes offline."""
    flags = yield read_once(css + CSS_FLAGS)
    yield write_once(css + CSS_FLAGS, flags | CSS_DYING)
    yield from percpu_ref_get_remote(css + CSS_REFCNT)
    yield from percpu_ref_kill(css + CSS_REFCNT)
    yield call_rcu(css_killed_ref_fn, css)
    yield from css_put_remote(css)


def css_killed_ref_fn(css: int) -> Program[None]:
    """A grace period after the kill: the count is one number, and the css can go offline."""
    yield from percpu_ref_switch_to_atomic(css + CSS_REFCNT)
    yield queue_work(css_killed_work_fn, css)
    yield from css_put_remote(css)


def css_killed_work_fn(css: int) -> Program[None]:
    """The css is offline. The machine calls the protocol's `css_offline` next, then drops kill_css's reference."""
    flags = yield read_once(css + CSS_FLAGS)
    yield write_once(css + CSS_FLAGS, flags & ~CSS_ONLINE)


# --- released


def css_release_work_fn(css: int) -> Program[None]:
    """The last reference is gone: no lookup finds the css any more; it is freed after a grace period."""
    link = MEMCG_LIST
    memcg = yield read_once(link)
    while memcg != css:
        link = memcg + MEMCG_NEXT
        memcg = yield read_once(link)
    after = yield read_once(css + MEMCG_NEXT)
    yield rcu_assign_pointer(link, after)
    yield call_rcu(css_free_rwork_fn, css)


def css_free_rwork_fn(css: int) -> Program[None]:
    """Free the css; the machine has called the protocol's `css_free` before. The parent loses a reference."""
    parent = yield read_once(css + CSS_PARENT)
    yield from css_exit(css)
    yield from mem_cgroup_free(css)
    if parent:
        yield from css_put_remote(parent)


def free_mem_cgroup_percpu(memcg: int) -> Program[None]:
    """Free the slots that are still there, nodes first."""
    for nid in range((yield nr_node_ids())):
        pn = yield read_once(memcg + NODEINFO + nid)
        if pn:
            yield free_percpu((yield read_once(pn + LRUVEC_STAT_CPU)))
            yield write_once(pn + LRUVEC_STAT_CPU, 0)
    yield free_percpu((yield read_once(memcg + VMSTATS_PERCPU)))
    yield write_once(memcg + VMSTATS_PERCPU, 0)


def mem_cgroup_free(memcg: int) -> Program[None]:
    """Free the structures themselves."""
    for nid in range((yield nr_node_ids())):
        yield kfree((yield read_once(memcg + NODEINFO + nid)))
    yield kfree(memcg)
