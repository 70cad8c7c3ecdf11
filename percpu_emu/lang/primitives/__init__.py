"""What each operation does on the machine: one compiled function for each name of `lang.ops`.

Operations that only touch a word are made from the table (`lang.operation`); the others are written out in the modules
here. The native engine inlines them into programs, the reference engine calls them one at a time. Each takes the
`Context` of who executes it, then the operation's arguments as words.
"""

from __future__ import annotations

from percpu_emu.lang import ops as _table  # fills OPERATIONS
from percpu_emu.lang.arithmetic import absolute, add, floor_div, floor_mod, mul, neg, sub, turns
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.primitives.allocation import alloc_percpu, free_percpu, kfree, kzalloc
from percpu_emu.lang.primitives.cpus import cpumask_next, nr_cpu_ids, nr_node_ids, smp_processor_id
from percpu_emu.lang.primitives.harness import has_no_result, ledger_add, ledger_commit, mark, reach, warn_on
from percpu_emu.lang.primitives.interrupts import (
    arrived,
    context_of,
    interrupt_block,
    interrupt_table,
    irq_enter,
    irq_exit,
    local_irq_restore,
    local_irq_save,
    next_turn,
)
from percpu_emu.lang.primitives.rcu import (
    call_rcu,
    preempt_disable,
    preempt_enable,
    queue_work,
    quiescent_state,
    rcu_barrier,
    rcu_read_lock,
    rcu_read_unlock,
    ring_doorbell,
    synchronize_rcu,
)
from percpu_emu.lang.primitives.waiting import cpu_relax, in_section, smp_cond_load_acquire, wait_until
from percpu_emu.lang.primitives.words import DERIVED, per_cpu
from percpu_emu.lang.primitives.work_loop import commanded, give_way, nth_of_table
from percpu_emu.lang.service import ProgramFault, Stopped
from percpu_emu.lang.tokens import idle_enter, idle_exit

globals().update(DERIVED)

if missing := {name for name, operation in OPERATIONS.items() if operation.native} - globals().keys():
    raise NotImplementedError(f"no primitive for {', '.join(sorted(missing))}")
