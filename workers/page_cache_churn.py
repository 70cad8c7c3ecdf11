"""Pages of page cache come and go in every cgroup of the table: three updates a turn, and the sum moves slowly up."""

from __future__ import annotations

from percpu_emu.kernel.layout import Item, VmEvent
from percpu_emu.kernel.memcg import count_memcg_events, mem_cgroup_nodeinfo, mod_lruvec_state, mod_memcg_state
from percpu_emu.lang.ops import Program


def page_cache_churn(memcg: int, turn: int) -> Program[None]:
    """One turn: a page comes in; every third turn none goes."""
    pn = yield from mem_cgroup_nodeinfo(memcg, 0)
    yield from mod_lruvec_state(pn, Item.NR_FILE_PAGES, 1)
    yield from count_memcg_events(memcg, VmEvent.PGPGIN, 1)
    if turn % 3:
        yield from mod_memcg_state(memcg, Item.MEMCG_CACHE, -1)
    else:
        yield from mod_memcg_state(memcg, Item.MEMCG_CACHE, 2)
