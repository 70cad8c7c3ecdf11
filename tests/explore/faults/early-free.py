"""An object is freed without a grace period while a reader holds a pointer to it."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    write_once,
)

POINTER = STATIC + 0


def setup() -> Program[None]:
    word = yield kzalloc(16)
    yield write_once(POINTER, word)


def reader() -> Program[None]:
    yield rcu_read_lock()
    yield rcu_dereference(POINTER)
    yield rcu_read_unlock()


def freer() -> Program[None]:
    word = yield read_once(POINTER)
    yield kfree(word)
