"""Flags that say off begin a section, which a grace period that is over does not cover."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    local_irq_restore,
    rcu_dereference,
    read_once,
    synchronize_rcu,
    wait_until,
    write_once,
    xchg,
)

POINTER = STATIC + 0
WORD = STATIC + 1


def setup() -> Program[None]:
    word = yield kzalloc(16)
    yield write_once(POINTER, word)


def reader() -> Program[None]:
    yield write_once(WORD, 1)
    yield local_irq_restore(1)
    word = yield rcu_dereference(POINTER)
    if word:
        yield read_once(word)
    yield local_irq_restore(0)


def writer() -> Program[None]:
    yield wait_until(WORD, 1)
    yield synchronize_rcu()
    word = yield xchg(POINTER, 0)
    yield kfree(word)
