"""A counter goes up by a read and a write with interrupts on: what an interrupt adds in between is lost."""

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
)
from percpu_emu.lang.raw import __this_cpu_add


def raw_add(memcg: int, turn: int) -> Program[None]:
    """One turn."""
    yield ledger_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield rcu_read_lock()
    vmstats_percpu = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    if vmstats_percpu:
        yield from __this_cpu_add(vmstats_percpu + STAT + Item.MEMCG_CACHE, 1)  # wrong: interrupts are on
    else:
        yield atomic_long_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield rcu_read_unlock()
    yield ledger_commit()
