"""All that a file of programs needs, for `from percpu_emu.program import *`: operations, structures, `@scenario`."""

from typing import Literal

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, CPU_POSSIBLE_MASK
from percpu_emu.lang.ops import (
    Program, __this_cpu_read, __this_cpu_write, alloc_percpu, atomic_long_add, atomic_long_add_return,
    atomic_long_fetch_add, atomic_long_read_acquire, call_rcu, cmpxchg, counted, cpu_relax, cpumask_next,
    free_percpu, kfree, kzalloc, ledger_add, ledger_commit, local_irq_restore, local_irq_save, mark, nr_cpu_ids,
    nr_node_ids, per_cpu, preempt_disable, preempt_enable, queue_work, quiescent_state, rcu_assign_pointer,
    rcu_barrier, rcu_dereference, rcu_read_lock, rcu_read_unlock, read_once, smp_cond_load_acquire,
    smp_load_acquire, smp_mb, smp_processor_id, smp_rmb, smp_store_release, smp_wmb, synchronize_rcu,
    this_cpu_add, this_cpu_add_return, this_cpu_and, this_cpu_cmpxchg, this_cpu_dec, this_cpu_inc, this_cpu_or,
    this_cpu_read, this_cpu_sub, this_cpu_write, this_cpu_xchg, wait_until, warn_on, write_once, xchg,
    xchg_relaxed,
)  # fmt: skip
from percpu_emu.lang.raw import (
    __this_cpu_add, __this_cpu_add_return, __this_cpu_and, __this_cpu_cmpxchg, __this_cpu_dec, __this_cpu_inc,
    __this_cpu_or, __this_cpu_sub, __this_cpu_xchg,
)  # fmt: skip
from percpu_emu.lang.setting import FIRST_OBJECT
from percpu_emu.lang.state import State
from percpu_emu.lang.structures import Array, AtomicLong, PerCpu, Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, Keys, scenario

__all__ = [
    "Array", "AtomicLong", "CPU_ONLINE_MASK", "CPU_POSSIBLE_MASK", "Contexts", "FIRST_OBJECT", "Keys",
    "Literal", "PerCpu", "Program", "Ptr", "State", "Struct", "Word", "__this_cpu_add", "__this_cpu_add_return",
    "__this_cpu_and", "__this_cpu_cmpxchg", "__this_cpu_dec", "__this_cpu_inc", "__this_cpu_or",
    "__this_cpu_read", "__this_cpu_sub", "__this_cpu_write", "__this_cpu_xchg", "alloc_percpu",
    "atomic_long_add", "atomic_long_add_return", "atomic_long_fetch_add", "atomic_long_read_acquire",
    "call_rcu", "cmpxchg", "counted", "cpu_relax", "cpumask_next", "free_percpu", "kfree", "kzalloc",
    "ledger_add", "ledger_commit", "local_irq_restore", "local_irq_save", "mark", "nr_cpu_ids", "nr_node_ids",
    "per_cpu", "percpu_sum", "preempt_disable", "preempt_enable", "queue_work", "quiescent_state",
    "rcu_assign_pointer", "rcu_barrier", "rcu_dereference", "rcu_read_lock", "rcu_read_unlock", "read_once",
    "scenario", "sizeof", "smp_cond_load_acquire", "smp_load_acquire", "smp_mb", "smp_processor_id", "smp_rmb",
    "smp_store_release", "smp_wmb", "synchronize_rcu", "this_cpu_add", "this_cpu_add_return", "this_cpu_and",
    "this_cpu_cmpxchg", "this_cpu_dec", "this_cpu_inc", "this_cpu_or", "this_cpu_read", "this_cpu_sub",
    "this_cpu_write", "this_cpu_xchg", "wait_until", "warn_on", "write_once", "xchg", "xchg_relaxed",
]  # fmt: skip
