"""A broken worker: it sleeps between reading the pointer to the slots and using it; they may be freed meanwhile."""

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
    synchronize_rcu,
    this_cpu_add,
)


def stale_pointer(memcg: int, turn: int) -> Program[None]:
    """One turn; every 256th is wrong."""
    yield ledger_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield rcu_read_lock()
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    yield rcu_read_unlock()
    if turn % 256 == 0:
        yield synchronize_rcu()  # wrong: the pointer is used below. It stands for anything that sleeps
    if vmstats_percpu:
        yield this_cpu_add(vmstats_percpu + STAT + Item.MEMCG_CACHE, 1)
    else:
        yield atomic_long_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield ledger_commit()
