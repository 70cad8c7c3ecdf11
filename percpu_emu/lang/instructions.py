"""The instructions of the virtual engine, and the effects of operations: rows of (opcode, dst, a, b, c, own).

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

# --- operations: the effects that `lang.operation` names
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
WAIT_UNTIL: Final = 49  # sleeps
SPIN_UNTIL: Final = 50  # keeps the CPU and its sections
CPUMASK_NEXT: Final = 51
LAST_ACCESS: Final = 51

NOTHING: Final = 52  # barriers, and what only native runs notice
CPU_RELAX: Final = 53
PROCESSOR_ID: Final = 54
NR_CPU_IDS: Final = 55
NR_NODE_IDS: Final = 56
MARK: Final = 57
WARN_ON: Final = 58
LEDGER_ADD: Final = 59
LEDGER_COMMIT: Final = 60
RCU_READ_LOCK: Final = 61
RCU_READ_UNLOCK: Final = 62
PREEMPT_DISABLE: Final = 63
PREEMPT_ENABLE: Final = 64
LOCAL_IRQ_SAVE: Final = 65
LOCAL_IRQ_RESTORE: Final = 66
CALL_RCU: Final = 67
QUEUE_WORK: Final = 68
SYNCHRONIZE_RCU: Final = 69
RCU_BARRIER: Final = 70
ALLOC_PERCPU: Final = 71
FREE_PERCPU: Final = 72
KZALLOC: Final = 73
KFREE: Final = 74
TAKE_DOWN: Final = 75  # the CPU of an `offline` or `kill` context goes
IRQ_WORK: Final = 76  # queues a program as an interrupt of a CPU
CPU_DOWN: Final = 77
CPU_UP: Final = 78
MOVE_TO: Final = 79

READING: Final = frozenset({READ, WAIT_UNTIL, SPIN_UNTIL, CPUMASK_NEXT})
"""Effects that leave the word as it is."""
MODIFYING: Final = frozenset({ADD_TO, ADD_RETURN, FETCH_ADD, XCHG, CMPXCHG, AND_WITH, OR_WITH})
"""Read-modify-writes: on the own copy, other CPUs see a load and a store."""

# --- columns of a row
OPCODE: Final = 0
DST: Final = 1
A: Final = 2
B: Final = 3
C: Final = 4
OWN: Final = 5
COLUMNS: Final = 6

DEREFERENCE: Final = 2
"""In OWN: the value read is a pointer that a reader holds on to."""
PER_CPU: Final = 4
"""In OWN: the address is `per_cpu(...)`, not a number of the program's."""
