"""A counter goes up by one atomic instruction on the word that all CPUs share: right, and all wait for each other."""

from __future__ import annotations

from percpu_emu.kernel.layout import VMSTATS, Item
from percpu_emu.lang.ops import Program, atomic_long_add, ledger_add, ledger_commit


def charge_atomically(memcg: int, turn: int) -> Program[None]:
    """One turn."""
    yield ledger_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield atomic_long_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield ledger_commit()
