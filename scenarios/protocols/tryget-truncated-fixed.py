"""A tryget says whether the old count was 0."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    atomic_long_add_return,
    cmpxchg,
    free_percpu,
    kfree,
    kzalloc,
    per_cpu,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS
from percpu_emu.lang.words import LONG_MIN

NR_CPUS = 1
BIAS = LONG_MIN
COUNT = STATIC + 0  # the atomic count: with the bias, as long as the slots are in use
ATOMIC = STATIC + 1  # 1: the slots are not used any more
SLOTS = OBJECT_WORDS
OBJECT = FIRST_OBJECT
NAMES = {SLOTS: "ref slot", OBJECT: "object"}


def setup() -> Program[None]:
    """An object with one reference."""
    yield kzalloc(8)
    yield alloc_percpu(8, 8)
    yield write_once(COUNT, BIAS + 1)


def use() -> Program[None]:
    """Take a reference, if there is one to be had, and drop it."""
    got = yield from tryget()
    if got:
        yield from put()


def tryget() -> Program[int]:
    """Take a reference unless the last one is gone. Gives whether it has."""
    yield rcu_read_lock()
    atomic = yield read_once(ATOMIC)
    got = 1
    if atomic:
        got = yield from inc_not_zero()
    else:
        yield this_cpu_add(SLOTS, 1)
    yield rcu_read_unlock()
    return got


def inc_not_zero() -> Program[int]:
    """Add 1 to the count unless it is 0. Gives whether it has."""
    old = yield read_once(COUNT)
    while old:
        seen = yield cmpxchg(COUNT, old, old + 1)
        if seen == old:
            return 1
        old = seen
    return 0


def put() -> Program[None]:
    """Drop a reference; the last one frees the object."""
    yield rcu_read_lock()
    atomic = yield read_once(ATOMIC)
    if atomic:
        yield from add(-1)
    else:
        yield this_cpu_add(SLOTS, -1)
    yield rcu_read_unlock()


def add(references: int) -> Program[None]:
    """Add to the atomic count; with the last reference the object is freed."""
    count = yield atomic_long_add_return(COUNT, references)
    if count == 0:
        yield free_percpu(SLOTS)
        yield kfree(OBJECT)


def kill() -> Program[None]:
    """Drop the first reference; after a grace period the count is one number."""
    yield write_once(ATOMIC, 1)
    yield atomic_long_add(COUNT, -1)
    yield synchronize_rcu()
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(SLOTS, cpu))
    yield from add(x - BIAS)
