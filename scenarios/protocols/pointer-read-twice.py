"""A pointer is tested, then read again to be used."""

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
    synchronize_rcu,
    write_once,
)
from percpu_emu.lang.setting import FIRST_OBJECT

CACHED = STATIC + 0  # the object that a CPU has cached, or NULL
OBJECT = FIRST_OBJECT
NAMES = {OBJECT: "bytes of the object"}


def setup() -> Program[None]:
    """An object is cached."""
    cached = yield kzalloc(8)
    yield write_once(CACHED, cached)


def look() -> Program[int]:
    """How many bytes the cached object has, if there is one."""
    nr_bytes = 0
    yield rcu_read_lock()
    if (yield rcu_dereference(CACHED)):
        nr_bytes = yield read_once((yield rcu_dereference(CACHED)))  # wrong: it may be another one, or NULL
    yield rcu_read_unlock()
    return nr_bytes


def give_back() -> Program[None]:
    """Cache it no longer; free it when no reader looks at it."""
    cached = yield read_once(CACHED)
    yield rcu_assign_pointer(CACHED, 0)
    yield synchronize_rcu()
    yield kfree(cached)
