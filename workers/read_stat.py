"""A reader of memory.stat, of cgroups whose counters only grow: what was seen once is never more than later."""

from __future__ import annotations

from percpu_emu.kernel.layout import Item
from percpu_emu.kernel.memcg import memcg_page_state, memcg_page_state_exact
from percpu_emu.lang.ops import Program, warn_on


def read_stat(memcg: int, turn: int) -> Program[None]:
    """One turn. The atomic twin takes batches, folds and flushes, which add what was added: it does not go down."""
    before = yield from memcg_page_state(memcg, Item.MEMCG_CACHE)
    if turn % 8 == 0:
        yield from memcg_page_state_exact(memcg, Item.MEMCG_CACHE)
    after = yield from memcg_page_state(memcg, Item.MEMCG_CACHE)
    yield warn_on(after < before)
