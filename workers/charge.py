"""One counter of each cgroup of the table goes up by one: the plainest update there is."""

from __future__ import annotations

from percpu_emu.kernel.layout import Item
from percpu_emu.kernel.memcg import mod_memcg_state
from percpu_emu.lang.ops import Program


def charge(memcg: int, turn: int) -> Program[None]:
    """One turn."""
    yield from mod_memcg_state(memcg, Item.MEMCG_CACHE, 1)
