"""The virtual engine's instructions: rows of (opcode, dst, a, b, c, own).

An operand is a register of the context where it is 0 or more, else constant number `-1 - operand`. Below
FIRST_OPERATION an instruction is arithmetic of one context alone; from there on it is an operation, which is one step.
`own` is 1 where the operation goes to this CPU's copy of a per-CPU word.
"""

from __future__ import annotations

from typing import Final

# --- arithmetic and jumps (a jump's target is `dst`)
MOV: Final = 1
ADD: Final = 2
SUB: Final = 3
MUL: Final = 4
FLOORDIV: Final = 5
MOD: Final = 6
LSHIFT: Final = 7
RSHIFT: Final = 8
AND: Final = 9
OR: Final = 10
XOR: Final = 11
NEG: Final = 12
INVERT: Final = 13
NOT: Final = 14
ABS: Final = 15
MIN: Final = 16
MAX: Final = 17
EQ: Final = 18
NE: Final = 19
LT: Final = 20
LE: Final = 21
TURNS: Final = 22  # how many numbers range(a, b, c) gives
PERCPU: Final = 23  # the address of CPU b's copy of per-CPU word a
JUMP: Final = 24
JUMP_IF_NOT: Final = 25  # if a is 0
JUMP_IF: Final = 26  # if a is not 0
JUMP_UNLESS_LT: Final = 27  # if not a < b
RESULT: Final = 28  # a is what this turn gives
TURN_END: Final = 29  # between two turns: the CPU may be taken down here
END: Final = 30

# --- operations
FIRST_OPERATION: Final = 40
READ: Final = 40
WRITE: Final = 41
ADD_TO: Final = 42  # no result: additions commute
ADD_RETURN: Final = 43
FETCH_ADD: Final = 44
XCHG: Final = 45
CMPXCHG: Final = 46
AND_WITH: Final = 47
OR_WITH: Final = 48
WAIT_UNTIL: Final = 49
CPUMASK_NEXT: Final = 50
LAST_ACCESS: Final = 50

GIVE: Final = 51  # gives the constant a: nr_cpu_ids, nr_node_ids; barriers, which give 0
PROCESSOR_ID: Final = 52
MARK: Final = 53
WARN_ON: Final = 54
LEDGER_ADD: Final = 55
LEDGER_COMMIT: Final = 56
RCU_READ_LOCK: Final = 57
RCU_READ_UNLOCK: Final = 58
PREEMPT_DISABLE: Final = 59
PREEMPT_ENABLE: Final = 60
LOCAL_IRQ_SAVE: Final = 61
LOCAL_IRQ_RESTORE: Final = 62
CALL_RCU: Final = 63
QUEUE_WORK: Final = 64
SYNCHRONIZE_RCU: Final = 65
RCU_BARRIER: Final = 66
ALLOC_PERCPU: Final = 67
FREE_PERCPU: Final = 68
KZALLOC: Final = 69
KFREE: Final = 70
TAKE_DOWN: Final = 71  # the CPU of an `offline` or `kill` context goes
LAST_OPERATION: Final = 71

# --- what stands in a row
OPCODE: Final = 0
DST: Final = 1
A: Final = 2
B: Final = 3
C: Final = 4
OWN: Final = 5
COLUMNS: Final = 6

DEREFERENCE: Final = 2
"""In OWN: the value read is a pointer that a reader holds on to."""

OPERATIONS: Final[dict[str, tuple[int, int]]] = {
    "read_once": (READ, 0),
    "smp_load_acquire": (READ, 0),
    "rcu_dereference": (READ, DEREFERENCE),
    "write_once": (WRITE, 0),
    "smp_store_release": (WRITE, 0),
    "rcu_assign_pointer": (WRITE, 0),
    "atomic_long_add": (ADD_TO, 0),
    "atomic_long_add_return": (ADD_RETURN, 0),
    "atomic_long_fetch_add": (FETCH_ADD, 0),
    "xchg": (XCHG, 0),
    "cmpxchg": (CMPXCHG, 0),
    "this_cpu_read": (READ, 1),
    "__this_cpu_read": (READ, 1),
    "this_cpu_write": (WRITE, 1),
    "__this_cpu_write": (WRITE, 1),
    "this_cpu_add": (ADD_TO, 1),
    "this_cpu_sub": (ADD_TO, 1),
    "this_cpu_inc": (ADD_TO, 1),
    "this_cpu_dec": (ADD_TO, 1),
    "this_cpu_and": (AND_WITH, 1),
    "this_cpu_or": (OR_WITH, 1),
    "this_cpu_add_return": (ADD_RETURN, 1),
    "this_cpu_xchg": (XCHG, 1),
    "this_cpu_cmpxchg": (CMPXCHG, 1),
    "wait_until": (WAIT_UNTIL, 0),
    "cpumask_next": (CPUMASK_NEXT, 0),
    "smp_mb": (GIVE, 0),
    "cpu_relax": (GIVE, 0),
    "quiescent_state": (GIVE, 0),
    "nr_cpu_ids": (GIVE, 0),
    "nr_node_ids": (GIVE, 0),
    "smp_processor_id": (PROCESSOR_ID, 0),
    "mark": (MARK, 0),
    "warn_on": (WARN_ON, 0),
    "ledger_add": (LEDGER_ADD, 0),
    "ledger_commit": (LEDGER_COMMIT, 0),
    "rcu_read_lock": (RCU_READ_LOCK, 0),
    "rcu_read_unlock": (RCU_READ_UNLOCK, 0),
    "preempt_disable": (PREEMPT_DISABLE, 0),
    "preempt_enable": (PREEMPT_ENABLE, 0),
    "local_irq_save": (LOCAL_IRQ_SAVE, 0),
    "local_irq_restore": (LOCAL_IRQ_RESTORE, 0),
    "call_rcu": (CALL_RCU, 0),
    "queue_work": (QUEUE_WORK, 0),
    "synchronize_rcu": (SYNCHRONIZE_RCU, 0),
    "rcu_barrier": (RCU_BARRIER, 0),
    "alloc_percpu": (ALLOC_PERCPU, 0),
    "free_percpu": (FREE_PERCPU, 0),
    "kzalloc": (KZALLOC, 0),
    "kfree": (KFREE, 0),
}
"""Operation -> opcode, and whether it goes to this CPU's copy."""
