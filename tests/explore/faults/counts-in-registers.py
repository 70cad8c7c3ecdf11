"""A count is on its way from a slot to the counter, in a register, when a callback ends."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    call_rcu,
    ledger_add,
    ledger_commit,
    per_cpu,
    read_once,
    smp_mb,
    this_cpu_inc,
    this_cpu_xchg,
)

COUNTER = STATIC + 0
SLOT = 8


def callback(_: int) -> Program[None]:
    yield smp_mb()


def total(counter: int) -> Program[int]:
    x = yield read_once(counter)
    x += yield read_once(per_cpu(SLOT, 0))
    return x


def counts() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield this_cpu_inc(SLOT)
    yield ledger_commit()
    x = yield this_cpu_xchg(SLOT, 0)
    yield atomic_long_add(COUNTER, x)


def queues() -> Program[None]:
    yield call_rcu(callback, 0)
