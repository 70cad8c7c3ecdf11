"""A drain looks into a cgroup that another CPU's stock refers to, inside a read-side section."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    per_cpu,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    this_cpu_xchg,
    write_once,
)
from percpu_emu.lang.setting import FIRST_OBJECT

STOCK = 8  # the cgroup whose charges a CPU has in stock: in the static area of every CPU
MEMCG = FIRST_OBJECT
NAMES = {STOCK: "stock", MEMCG: "flags of the cgroup"}


def setup() -> Program[None]:
    """CPU 1 has a stock of charges of a cgroup that has no other reference."""
    memcg = yield kzalloc(8)
    yield write_once(per_cpu(STOCK, 1), memcg)


def drain_all_stock() -> Program[int]:
    """Look what CPU 1 has in stock."""
    flags = 0
    yield rcu_read_lock()
    memcg = yield rcu_dereference(per_cpu(STOCK, 1))
    if memcg:
        flags = yield read_once(memcg)
    yield rcu_read_unlock()
    return flags


def drain_stock() -> Program[None]:
    """Give this CPU's stock back, and with it the last reference: the cgroup is freed."""
    memcg = yield this_cpu_xchg(STOCK, 0)
    yield synchronize_rcu()
    yield kfree(memcg)
