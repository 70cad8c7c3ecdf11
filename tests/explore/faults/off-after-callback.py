"""A counter is off for a moment, in which a callback ends."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    call_rcu,
    ledger_add,
    ledger_commit,
    read_once,
    smp_mb,
    write_once,
)

COUNTER = STATIC + 0


def callback(_: int) -> Program[None]:
    yield smp_mb()


def total(counter: int) -> Program[int]:
    x = yield read_once(counter)
    return x


def counts() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(COUNTER, 1)
    yield ledger_commit()
    yield write_once(COUNTER, 0)
    yield write_once(COUNTER, 1)


def queues() -> Program[None]:
    yield call_rcu(callback, 0)
