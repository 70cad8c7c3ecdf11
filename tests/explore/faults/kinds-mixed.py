"""A section of one kind is left by the operation of another."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    preempt_enable,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_cond_load_acquire,
    write_once,
)

WORD = STATIC + 0
FLAG = STATIC + 1


def mixes() -> Program[None]:
    yield rcu_read_lock()
    yield preempt_enable()
    y = yield read_once(FLAG)
    if y:
        yield smp_cond_load_acquire(WORD, 1)
    yield rcu_read_unlock()


def raises(_: int) -> Program[None]:
    yield write_once(WORD, 1)


def queues() -> Program[None]:
    yield call_rcu(raises, 0)
    yield write_once(FLAG, 1)
