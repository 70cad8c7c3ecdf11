"""percpu_ref: a reference count that is per-CPU while the object lives and atomic once it is killed.

lib/percpu-refcount.c, v5.0. The pointer to the slots stands shifted left by two, with the flags below it. While
the slots are in use the atomic count holds a bias, so that no put can take it to zero; slots wrap, only the sum counts.
"""

from __future__ import annotations

from typing import Final

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import COUNT, CPU_POSSIBLE_MASK, PERCPU_COUNT_PTR
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    atomic_long_add_return,
    free_percpu,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    this_cpu_add,
    warn_on,
    write_once,
)
from percpu_emu.lang.words import LONG_MIN

ATOMIC: Final = 1
DEAD: Final = 2
FLAGS: Final = ATOMIC | DEAD
BIAS: Final = LONG_MIN


def percpu_ref_init(ref: int) -> Program[int]:
    """Make the slots and the one initial reference. Gives 1, or 0 where there is no memory."""
    slots = yield alloc_percpu(8, 8)
    if slots == 0:
        return 0
    yield write_once(ref + COUNT, BIAS + 1)
    yield write_once(ref + PERCPU_COUNT_PTR, slots << 2)
    return 1


def percpu_ref_get(ref: int) -> Program[None]:
    """Take a reference; the caller has one."""
    yield rcu_read_lock()
    tagged = yield read_once(ref + PERCPU_COUNT_PTR)
    if tagged & FLAGS:
        yield atomic_long_add(ref + COUNT, 1)
    else:
        yield this_cpu_add(tagged >> 2, 1)
    yield rcu_read_unlock()


def percpu_ref_get_remote(ref: int) -> Program[None]:
    """Take a reference from a context that is no CPU: in the atomic count, as only the sum matters."""
    yield atomic_long_add(ref + COUNT, 1)


def percpu_ref_put(ref: int) -> Program[int]:
    """Drop a reference. Gives 1 when it was the last, which cannot be before the count is atomic."""
    last = 0
    yield rcu_read_lock()
    tagged = yield read_once(ref + PERCPU_COUNT_PTR)
    if tagged & FLAGS:
        count = yield atomic_long_add_return(ref + COUNT, -1)
        last = count == 0
    else:
        yield this_cpu_add(tagged >> 2, -1)
    yield rcu_read_unlock()
    return last


def percpu_ref_put_remote(ref: int) -> Program[int]:
    """Drop a reference from a context that is no CPU; 1 when it was the last. The bias keeps a live count from 0."""
    count = yield atomic_long_add_return(ref + COUNT, -1)
    return count == 0


def percpu_ref_kill(ref: int) -> Program[None]:
    """Turn updaters to the atomic count, and hold a reference for the switch, which a grace period has to precede."""
    tagged = yield read_once(ref + PERCPU_COUNT_PTR)
    yield warn_on(tagged & DEAD)
    yield write_once(ref + PERCPU_COUNT_PTR, tagged | FLAGS)
    yield atomic_long_add(ref + COUNT, 1)


def percpu_ref_switch_to_atomic(ref: int) -> Program[None]:
    """After the grace period: fold the slots. One add: adding them one by one could touch zero on the way."""
    tagged = yield read_once(ref + PERCPU_COUNT_PTR)
    x = yield from percpu_sum(tagged >> 2, 0, CPU_POSSIBLE_MASK)
    count = yield atomic_long_add_return(ref + COUNT, x - BIAS)
    yield warn_on(count <= 0)


def percpu_ref_exit(ref: int) -> Program[None]:
    """Free the slots."""
    tagged = yield read_once(ref + PERCPU_COUNT_PTR)
    yield free_percpu(tagged >> 2)
    yield write_once(ref + PERCPU_COUNT_PTR, FLAGS)
