"""Charging pages and objects to a memory cgroup: a reference, the counters, the events (mm/memcontrol.c)."""

from __future__ import annotations

from percpu_emu.kernel.css import css_get, css_put
from percpu_emu.kernel.layout import Item, VmEvent
from percpu_emu.kernel.memcg import (
    count_memcg_events,
    count_page_event,
    mem_cgroup_nodeinfo,
    mod_lruvec_state,
    mod_memcg_state,
)
from percpu_emu.lang.ops import Program


def charge_page(memcg: int, nid: int, item: int, node_item: int) -> Program[None]:
    """A page on a node, counted by `item` for the cgroup and by `node_item` for its lruvec there."""
    yield from css_get(memcg)
    yield from mod_memcg_state(memcg, item, 1)
    pn = yield from mem_cgroup_nodeinfo(memcg, nid)
    yield from mod_lruvec_state(pn, node_item, 1)
    yield from count_memcg_events(memcg, VmEvent.PGPGIN, 1)
    yield from count_page_event(memcg)


def uncharge_page(memcg: int, nid: int, item: int, node_item: int) -> Program[None]:
    """The page is gone, and with it the reference, which may be the last."""
    pn = yield from mem_cgroup_nodeinfo(memcg, nid)
    yield from mod_lruvec_state(pn, node_item, -1)
    yield from mod_memcg_state(memcg, item, -1)
    yield from count_memcg_events(memcg, VmEvent.PGPGOUT, 1)
    yield from count_page_event(memcg)
    yield from css_put(memcg)


def charge_pages(memcg: int, nid: int, item: int, node_item: int, pages: int) -> Program[None]:
    """So many pages, one after the other."""
    for _ in range(pages):
        yield from charge_page(memcg, nid, item, node_item)


def uncharge_pages(memcg: int, nid: int, item: int, node_item: int, pages: int) -> Program[None]:
    """So many pages are gone."""
    for _ in range(pages):
        yield from uncharge_page(memcg, nid, item, node_item)


def charge_slab(memcg: int, nid: int) -> Program[None]:
    """A page of slab for objects of the cgroup."""
    yield from css_get(memcg)
    pn = yield from mem_cgroup_nodeinfo(memcg, nid)
    yield from mod_lruvec_state(pn, Item.NR_SLAB_RECLAIMABLE, 1)


def uncharge_slab(memcg: int, nid: int) -> Program[None]:
    """The slab page went with its last object."""
    pn = yield from mem_cgroup_nodeinfo(memcg, nid)
    yield from mod_lruvec_state(pn, Item.NR_SLAB_RECLAIMABLE, -1)
    yield from css_put(memcg)
