"""Programs for test_edges: what random programs hardly ever do."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    cpumask_next,
    free_percpu,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_cond_load_acquire,
    smp_mb,
    smp_processor_id,
    synchronize_rcu,
    this_cpu_cmpxchg,
    this_cpu_inc,
    this_cpu_read,
    this_cpu_sub,
    wait_until,
    write_once,
    xchg,
)
from percpu_emu.lang.words import LONG_MAX, LONG_MIN
from tests.programs import COUNTER, POINTER, SLOT, SLOTS, STATIC, X

ENTERED = STATIC + 5
LEFT = STATIC + 6


def setup() -> Program[None]:
    word = yield kzalloc(16)
    yield write_once(POINTER, word)
    area = yield alloc_percpu(12, 8)
    yield write_once(SLOTS, area)


def write_x(value: int) -> Program[None]:
    yield write_once(X, value)


def write_there(pointer: int) -> Program[None]:
    yield write_once(per_cpu(pointer, 0), 1)


def free_area_as_object() -> Program[None]:
    area = yield read_once(SLOTS)
    yield kfree(area)


def free_object_as_area() -> Program[None]:
    word = yield read_once(POINTER)
    yield free_percpu(word)


def next_cpu_nowhere(mask: int) -> Program[int]:
    return (yield cpumask_next(-1, mask))


def subtract_the_least() -> Program[int]:
    yield this_cpu_sub(SLOT, LONG_MIN)
    yield this_cpu_inc(SLOT)
    return (yield this_cpu_read(SLOT))


# --- sections, sleeping


def synchronize_irqs_off() -> Program[None]:
    flags = yield local_irq_save()
    yield synchronize_rcu()
    yield local_irq_restore(flags)


def queue_synchronize_inside() -> Program[None]:
    yield call_rcu(callback_synchronizes_inside, 0)


def callback_synchronizes_inside(_: int) -> Program[None]:
    yield rcu_read_lock()
    yield synchronize_rcu()
    yield rcu_read_unlock()


def wait_nowhere_inside() -> Program[None]:
    yield preempt_disable()
    yield wait_until(0, 1)
    yield preempt_enable()


def wait_nowhere() -> Program[None]:
    yield wait_until(0, 1)


def spin_nowhere() -> Program[None]:
    yield rcu_read_lock()
    yield smp_cond_load_acquire(per_cpu(SLOT, 7), 1)


def nest(times: int) -> Program[None]:
    for _ in range(times):
        yield preempt_disable()
    for _ in range(times):
        yield preempt_enable()


def lock_between_turns(turn: int) -> Program[None]:
    if turn == 0:
        yield rcu_read_lock()
    else:
        yield rcu_read_unlock()


def kinds_at_once() -> Program[None]:
    flags = yield local_irq_save()
    yield preempt_disable()
    yield rcu_read_lock()
    yield local_irq_restore(flags)
    yield rcu_read_unlock()
    yield smp_mb()
    yield preempt_enable()


def off_twice() -> Program[None]:
    yield local_irq_restore(2)
    flags = yield local_irq_save()
    yield local_irq_restore(flags)
    yield local_irq_restore(0)


# --- readers and what they hold


def find() -> Program[None]:
    yield rcu_dereference(POINTER)
    yield smp_mb()


def find_inside() -> Program[None]:
    yield rcu_read_lock()
    yield rcu_dereference(POINTER)
    yield rcu_read_unlock()
    yield smp_mb()


def free_by_callback() -> Program[None]:
    word = yield xchg(POINTER, 0)
    yield call_rcu(discard, word)


def discard(word: int) -> Program[None]:
    yield kfree(word)


def queue_finder() -> Program[None]:
    yield call_rcu(finder, 0)


def finder(_: int) -> Program[None]:
    yield rcu_dereference(POINTER)
    yield smp_mb()


# --- halves


def compare() -> Program[int]:
    return (yield this_cpu_cmpxchg(SLOT, 0, 6))


def increment_twice() -> Program[None]:
    yield this_cpu_inc(SLOT)
    yield this_cpu_inc(SLOT)


def increment_area() -> Program[None]:
    area = yield read_once(SLOTS)
    yield this_cpu_inc(area)


def store_in_area() -> Program[None]:
    area = yield read_once(SLOTS)
    yield write_once(per_cpu(area, 0), 7)


def free_area() -> Program[None]:
    area = yield read_once(SLOTS)
    yield free_percpu(area)


def queue_store() -> Program[None]:
    yield call_rcu(store, 0)
    yield queue_work(store, 0)


def store(_: int) -> Program[None]:
    yield write_once(per_cpu(SLOT, 0), 7)


def add_here_or_there() -> Program[None]:
    cpu = yield smp_processor_id()
    yield write_once(per_cpu(SLOT, cpu), 9)
    yield this_cpu_inc(SLOT)


# --- callbacks, work, barriers


def count_and_queue() -> Program[None]:
    yield call_rcu(count, 1)
    yield call_rcu(count, 2)
    yield rcu_barrier()


def count(number: int) -> Program[None]:
    yield ledger_add(COUNTER, number)
    yield atomic_long_add(COUNTER, number)
    yield ledger_commit()


def note_and_queue() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield call_rcu(count, 2)
    yield atomic_long_add(COUNTER, 1)
    yield ledger_commit()


def note_over_turns(turn: int) -> Program[None]:
    if turn == 0:
        yield ledger_add(COUNTER, 1)
    else:
        yield atomic_long_add(COUNTER, 1)
        yield ledger_commit()


def count_on_no_ledger() -> Program[None]:
    yield atomic_long_add(COUNTER, 1)


def count_or_not() -> Program[None]:
    x = yield read_once(X)
    if x:
        yield ledger_add(COUNTER, 0)
        yield ledger_commit()
    yield atomic_long_add(COUNTER, 1)


def work_waits_for_callbacks() -> Program[None]:
    yield call_rcu(count, 1)
    yield queue_work(barrier, 0)


def barrier(_: int) -> Program[None]:
    yield rcu_barrier()
    yield write_once(X, 1)


def queue_spinner() -> Program[None]:
    yield call_rcu(spin, 0)


def spin(_: int) -> Program[None]:
    yield smp_mb()
    yield smp_cond_load_acquire(X, 1)


def barrier_then_write() -> Program[None]:
    yield rcu_barrier()
    yield write_once(X, 1)


def queue_writer() -> Program[None]:
    yield call_rcu(write_late, 0)


def write_late(_: int) -> Program[None]:
    yield write_once(X, 1)


def spin_inside() -> Program[None]:
    yield rcu_read_lock()
    yield smp_cond_load_acquire(X, 1)
    yield rcu_read_unlock()


def queue_then_let_go() -> Program[None]:
    yield call_rcu(write_late, 0)
    yield write_once(LEFT, 1)


def hold_until_let_go() -> Program[None]:
    yield rcu_read_lock()
    yield write_once(ENTERED, 1)
    yield smp_cond_load_acquire(LEFT, 1)
    yield rcu_read_unlock()


def spin_inside_later() -> Program[None]:
    yield smp_cond_load_acquire(ENTERED, 1)
    yield from spin_inside()


def spin_preempt_off() -> Program[None]:
    yield preempt_disable()
    yield smp_cond_load_acquire(X, 1)
    yield preempt_enable()


def write_preempt_off() -> Program[None]:
    yield preempt_disable()
    yield write_once(X, 1)
    yield preempt_enable()


def queue_counter() -> Program[None]:
    yield call_rcu(count, 1)


def spin_first() -> Program[None]:
    yield smp_cond_load_acquire(X, 1)


def read_twice() -> Program[int]:
    first = yield read_once(X)
    second = yield read_once(X)
    return 2 * first + second


def read_twice_inside() -> Program[int]:
    yield rcu_read_lock()
    both = yield from read_twice()
    yield rcu_read_unlock()
    return both


def read_twice_preempt_off() -> Program[int]:
    yield preempt_disable()
    both = yield from read_twice()
    yield preempt_enable()
    return both


def synchronize_then_write() -> Program[None]:
    yield synchronize_rcu()
    yield write_once(X, 1)


# --- arithmetic


def far(value: int) -> Program[None]:
    x = yield read_once(POINTER)
    yield write_once(X, (x + value) * LONG_MAX)


def least_by_minus_one() -> Program[int]:
    x = yield read_once(X)
    yield smp_mb()
    return (LONG_MIN + x) // (x - 1) + (LONG_MIN + x) % (x - 1)


def shift_by(count: int) -> Program[int]:
    x = yield read_once(X)
    return (1 << (x + count)) + (LONG_MIN >> (x + count))


def long_range(step: int) -> Program[int]:
    x = yield read_once(X)
    sum_ = 0
    for i in range(x, 3, step):
        sum_ += i
    return sum_
