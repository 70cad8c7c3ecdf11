"""Slots of a reference count are summed up first, then added at once."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    atomic_long_add_return,
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

NR_CPUS = 2
BIAS = LONG_MIN
REF = FIRST_OBJECT  # an object that begins with its reference count
SLOTS = REF + 0
COUNT = REF + 1
DEAD = REF + 2  # 1: the slots are not used any more
NAMES = {OBJECT_WORDS: "ref slot", SLOTS: "ref slots", COUNT: "ref count", DEAD: "ref dead"}


def setup() -> Program[None]:
    """An object with two references: the first one, and one that was taken on CPU 1."""
    yield kzalloc(24)
    slots = yield alloc_percpu(8, 8)
    yield write_once(SLOTS, slots)
    yield write_once(COUNT, BIAS + 1)
    yield write_once(per_cpu(slots, 1), 1)


def put() -> Program[None]:
    """Drop the reference that was taken on CPU 1."""
    yield rcu_read_lock()
    dead = yield read_once(DEAD)
    if dead:
        yield from put_atomic()
    else:
        slots = yield read_once(SLOTS)
        yield this_cpu_add(slots, -1)
    yield rcu_read_unlock()


def put_atomic() -> Program[None]:
    """Drop a reference; the last one frees the object."""
    count = yield atomic_long_add_return(COUNT, -1)
    if count == 0:
        slots = yield read_once(SLOTS)
        yield free_percpu(slots)
        yield kfree(REF)


def kill() -> Program[None]:
    """Turn the count atomic, and drop the first reference."""
    yield write_once(DEAD, 1)
    yield synchronize_rcu()
    slots = yield read_once(SLOTS)
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots, cpu))
    yield atomic_long_add(COUNT, x - BIAS)
    yield from put_atomic()
