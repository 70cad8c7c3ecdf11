"""A counter goes up by one instruction, which no interrupt of its CPU can come into the middle of."""

from __future__ import annotations

from percpu_emu.kernel.layout import STAT, VMSTATS, VMSTATS_PERCPU, Item
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    ledger_add,
    ledger_commit,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    this_cpu_add,
)


def this_cpu_charge(memcg: int, turn: int) -> Program[None]:
    """One turn."""
    yield ledger_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield rcu_read_lock()
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    if vmstats_percpu:
        yield this_cpu_add(vmstats_percpu + STAT + Item.MEMCG_CACHE, 1)
    else:
        yield atomic_long_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield rcu_read_unlock()
    yield ledger_commit()
