"""Small programs that several parts of the suite run, and the words that they work on."""

from __future__ import annotations

from typing import Final

from percpu_emu.kernel.layout import CPU_ONLINE_MASK, STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    cmpxchg,
    cpumask_next,
    free_percpu,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    per_cpu,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_mb,
    synchronize_rcu,
    this_cpu_add,
    this_cpu_cmpxchg,
    this_cpu_inc,
    wait_until,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.raw import __this_cpu_add

SLOTS: Final = STATIC  # a pointer to a per-CPU area
COUNTER: Final = STATIC + 1
FLAG: Final = STATIC + 2
POINTER: Final = STATIC + 3  # to an object
X: Final = STATIC + 4
SLOT: Final = 3  # in the static per-CPU area


def nothing() -> Program[None]:
    yield smp_mb()


def warn() -> Program[None]:
    yield warn_on(1)


def divide() -> Program[None]:
    x = yield read_once(FLAG)
    yield write_once(FLAG, 1 // x)


def next_cpu(after: int) -> Program[int]:
    return (yield cpumask_next(after, CPU_ONLINE_MASK))


# --- words


def counter(word: int) -> Program[int]:
    return (yield read_once(word))


def write(address: int) -> Program[None]:
    yield write_once(address, 1)


def read_null() -> Program[None]:
    yield read_once(0)


def raise_flag() -> Program[None]:
    yield write_once(FLAG, 1)


def wait_for_flag() -> Program[None]:
    yield wait_until(FLAG, 1)


def read_then_write() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    x = yield read_once(COUNTER)
    yield write_once(COUNTER, x + 1)
    yield ledger_commit()


def count_shared(_: int) -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(COUNTER, 1)
    yield ledger_commit()


# --- slots


def increment() -> Program[None]:
    yield this_cpu_inc(SLOT)


def count_here() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield this_cpu_inc(SLOT)
    yield ledger_commit()


def count_raw() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield from __this_cpu_add(SLOT, 1)
    yield ledger_commit()


def compare_in_vain() -> Program[int]:
    return (yield this_cpu_cmpxchg(SLOT, 5, 6))


def store_remotely() -> Program[None]:
    yield write_once(per_cpu(SLOT, 0), 7)


def fail_remotely() -> Program[int]:
    return (yield cmpxchg(per_cpu(SLOT, 0), 5, 6))


# --- sections and grace periods


def lock() -> Program[None]:
    yield rcu_read_lock()


def unlock() -> Program[None]:
    yield rcu_read_unlock()


def synchronize() -> Program[None]:
    yield synchronize_rcu()


def synchronize_inside() -> Program[None]:
    yield rcu_read_lock()
    yield synchronize_rcu()
    yield rcu_read_unlock()


# --- an area that is published, read and freed


def publish() -> Program[None]:
    slots = yield alloc_percpu(8, 8)
    yield write_once(SLOTS, slots)


def update() -> Program[None]:
    yield rcu_read_lock()
    slots = yield rcu_dereference(SLOTS)
    if slots:
        yield this_cpu_add(slots, 1)
    yield rcu_read_unlock()


def free_at_once() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield write_once(SLOTS, 0)
    yield free_percpu(slots)


def free_after_grace_period() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield write_once(SLOTS, 0)
    yield synchronize_rcu()
    yield free_percpu(slots)


def free_by_callback() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield write_once(SLOTS, 0)
    yield call_rcu(free_slots, slots)
    yield rcu_barrier()


def free_slots(slots: int) -> Program[None]:
    yield free_percpu(slots)


def allocate_area(size: int) -> Program[None]:
    yield alloc_percpu(size, 8)


# --- objects


def allocate(size: int) -> Program[None]:
    yield kzalloc(size)


def leave_object() -> Program[None]:
    yield kzalloc(8)


def read_beyond() -> Program[None]:
    word = yield kzalloc(8)
    yield read_once(word + 1)


def free_twice() -> Program[None]:
    word = yield kzalloc(8)
    yield kfree(word)
    yield kfree(word)


def free_object_at_once() -> Program[None]:
    word = yield xchg(POINTER, 0)
    yield kfree(word)


def free_object_later() -> Program[None]:
    word = yield xchg(POINTER, 0)
    yield synchronize_rcu()
    yield kfree(word)
