"""A program for each operation."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    __this_cpu_read,
    __this_cpu_write,
    alloc_percpu,
    atomic_long_add,
    atomic_long_add_return,
    atomic_long_fetch_add,
    atomic_long_read_acquire,
    call_rcu,
    cmpxchg,
    cpu_relax,
    cpumask_next,
    free_percpu,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    mark,
    nr_cpu_ids,
    nr_node_ids,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    quiescent_state,
    rcu_assign_pointer,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_cond_load_acquire,
    smp_load_acquire,
    smp_mb,
    smp_processor_id,
    smp_rmb,
    smp_store_release,
    smp_wmb,
    synchronize_rcu,
    this_cpu_add,
    this_cpu_add_return,
    this_cpu_and,
    this_cpu_cmpxchg,
    this_cpu_dec,
    this_cpu_inc,
    this_cpu_or,
    this_cpu_read,
    this_cpu_sub,
    this_cpu_write,
    this_cpu_xchg,
    wait_until,
    warn_on,
    write_once,
    xchg,
    xchg_relaxed,
)


def callback(argument: int) -> Program[None]:
    yield write_once(argument, 1)


def do_read_once(pointer: int) -> Program[int]:
    return (yield read_once(pointer))


def do_per_cpu(pointer: int, cpu: int) -> Program[int]:
    return (yield xchg(per_cpu(pointer, cpu), 99))


def do_write_once(pointer: int, value: int) -> Program[int]:
    return (yield write_once(pointer, value))


def do_smp_load_acquire(pointer: int) -> Program[int]:
    return (yield smp_load_acquire(pointer))


def do_smp_store_release(pointer: int, value: int) -> Program[int]:
    return (yield smp_store_release(pointer, value))


def do_smp_mb() -> Program[int]:
    return (yield smp_mb())


def do_atomic_long_add(pointer: int, value: int) -> Program[int]:
    return (yield atomic_long_add(pointer, value))


def do_atomic_long_add_return(pointer: int, value: int) -> Program[int]:
    return (yield atomic_long_add_return(pointer, value))


def do_atomic_long_fetch_add(pointer: int, value: int) -> Program[int]:
    return (yield atomic_long_fetch_add(pointer, value))


def do_xchg(pointer: int, value: int) -> Program[int]:
    return (yield xchg(pointer, value))


def do_cmpxchg(pointer: int, old: int, new: int) -> Program[int]:
    return (yield cmpxchg(pointer, old, new))


def do_smp_rmb() -> Program[int]:
    return (yield smp_rmb())


def do_smp_wmb() -> Program[int]:
    return (yield smp_wmb())


def do_atomic_long_read_acquire(pointer: int) -> Program[int]:
    return (yield atomic_long_read_acquire(pointer))


def do_xchg_relaxed(pointer: int, value: int) -> Program[int]:
    return (yield xchg_relaxed(pointer, value))


def do_this_cpu_read(pointer: int) -> Program[int]:
    return (yield this_cpu_read(pointer))


def do_this_cpu_write(pointer: int, value: int) -> Program[int]:
    return (yield this_cpu_write(pointer, value))


def do_this_cpu_add(pointer: int, value: int) -> Program[int]:
    return (yield this_cpu_add(pointer, value))


def do_this_cpu_sub(pointer: int, value: int) -> Program[int]:
    return (yield this_cpu_sub(pointer, value))


def do_this_cpu_inc(pointer: int) -> Program[int]:
    return (yield this_cpu_inc(pointer))


def do_this_cpu_dec(pointer: int) -> Program[int]:
    return (yield this_cpu_dec(pointer))


def do_this_cpu_and(pointer: int, value: int) -> Program[int]:
    return (yield this_cpu_and(pointer, value))


def do_this_cpu_or(pointer: int, value: int) -> Program[int]:
    return (yield this_cpu_or(pointer, value))


def do_this_cpu_add_return(pointer: int, value: int) -> Program[int]:
    return (yield this_cpu_add_return(pointer, value))


def do_this_cpu_xchg(pointer: int, value: int) -> Program[int]:
    return (yield this_cpu_xchg(pointer, value))


def do_this_cpu_cmpxchg(pointer: int, old: int, new: int) -> Program[int]:
    return (yield this_cpu_cmpxchg(pointer, old, new))


def do___this_cpu_read(pointer: int) -> Program[int]:
    return (yield __this_cpu_read(pointer))


def do___this_cpu_write(pointer: int, value: int) -> Program[int]:
    return (yield __this_cpu_write(pointer, value))


def do_rcu_read_lock() -> Program[int]:
    return (yield rcu_read_lock())


def do_rcu_read_unlock() -> Program[int]:
    return (yield rcu_read_unlock())


def do_rcu_dereference(pointer: int) -> Program[int]:
    return (yield rcu_dereference(pointer))


def do_rcu_assign_pointer(pointer: int, value: int) -> Program[int]:
    return (yield rcu_assign_pointer(pointer, value))


def do_call_rcu(argument: int) -> Program[int]:
    return (yield call_rcu(callback, argument))


def do_synchronize_rcu() -> Program[int]:
    return (yield synchronize_rcu())


def do_rcu_barrier() -> Program[int]:
    return (yield rcu_barrier())


def do_queue_work(argument: int) -> Program[int]:
    return (yield queue_work(callback, argument))


def do_quiescent_state() -> Program[int]:
    return (yield quiescent_state())


def do_preempt_disable() -> Program[int]:
    return (yield preempt_disable())


def do_preempt_enable() -> Program[int]:
    return (yield preempt_enable())


def do_local_irq_save() -> Program[int]:
    first = yield local_irq_save()
    second = yield local_irq_save()
    return first * 10 + second


def do_local_irq_restore(flags: int) -> Program[int]:
    yield local_irq_save()
    return (yield local_irq_restore(flags))


def do_alloc_percpu(size: int, align: int) -> Program[int]:
    first = yield alloc_percpu(size, align)
    second = yield alloc_percpu(size, align)
    return second - first


def do_free_percpu(pointer: int) -> Program[int]:
    return (yield free_percpu(pointer))


def do_kzalloc(size: int) -> Program[int]:
    return (yield kzalloc(size))


def do_kfree(pointer: int) -> Program[int]:
    return (yield kfree(pointer))


def do_wait_until(pointer: int, value: int) -> Program[int]:
    return (yield wait_until(pointer, value))


def do_smp_cond_load_acquire(pointer: int, value: int) -> Program[int]:
    return (yield smp_cond_load_acquire(pointer, value))


def do_cpu_relax() -> Program[int]:
    return (yield cpu_relax())


def do_smp_processor_id() -> Program[int]:
    return (yield smp_processor_id())


def do_nr_cpu_ids() -> Program[int]:
    return (yield nr_cpu_ids())


def do_nr_node_ids() -> Program[int]:
    return (yield nr_node_ids())


def do_cpumask_next(cpu: int, mask: int) -> Program[int]:
    return (yield cpumask_next(cpu, mask))


def do_ledger_add(counter: int, delta: int) -> Program[int]:
    return (yield ledger_add(counter, delta))


def do_ledger_commit(counter: int, delta: int) -> Program[int]:
    yield ledger_add(counter, delta)
    yield ledger_add(counter + 1, -delta)
    return (yield ledger_commit())


def do_mark() -> Program[int]:
    yield mark("first")
    yield mark("second")
    return (yield mark("second"))


def do_warn_on(condition: int) -> Program[int]:
    return (yield warn_on(condition))
