"""A lock whose waiters spin is taken inside a read-side section."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_cond_load_acquire,
    synchronize_rcu,
    write_once,
    xchg,
)

LOCK = STATIC + 0
POINTER = STATIC + 1


def setup() -> Program[None]:
    word = yield kzalloc(8)
    yield write_once(POINTER, word)


def lock() -> Program[None]:
    while (yield xchg(LOCK, 1)):
        yield smp_cond_load_acquire(LOCK, 0)


def reader() -> Program[None]:
    yield rcu_read_lock()
    word = yield rcu_dereference(POINTER)
    yield from lock()
    yield write_once(LOCK, 0)
    if word:
        yield read_once(word)
    yield rcu_read_unlock()


def holder() -> Program[None]:
    yield from lock()
    for _ in range(3):
        yield read_once(LOCK)
    yield write_once(LOCK, 0)


def remover() -> Program[None]:
    word = yield read_once(POINTER)
    yield rcu_assign_pointer(POINTER, 0)
    yield synchronize_rcu()
    yield kfree(word)
