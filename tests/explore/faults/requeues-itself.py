"""A callback queues itself."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, atomic_long_add, call_rcu, rcu_barrier, warn_on

WORD = STATIC + 0


def again(left: int) -> Program[None]:
    if left:
        yield call_rcu(again, left - 1)
    yield atomic_long_add(WORD, 1)


def queues() -> Program[None]:
    yield call_rcu(again, 1)
    yield rcu_barrier()
    yield warn_on(1)
