"""What an operation acts on: the addresses handed to every program, and the words of a context's control block.

The control segment holds a header, then one block for each CPU and one for the coordinator. Offsets are in words.
Words with different writers stand on different cache lines (8 words).
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Bases: TypeAlias = npt.NDArray[np.int64]
"""A `Context` as an array, in which form compiled entry points take it."""


class Context(NamedTuple):
    """Where a CPU (or the coordinator) finds things: addresses, the same in every process."""

    memory: int  # word 0 of the kernel's memory
    percpu: int  # per-CPU offset 0 of unit 0
    unit: int  # per-CPU offset 0 of this CPU's unit; NO_UNIT for the coordinator
    block: int  # this context's control block
    ledger: int  # this CPU's ledger: a word for every word of the kernel's memory (`ledger_commit`)
    header: int  # the control segment's header

    def bases(self) -> Bases:
        """For compiled entry points."""
        return np.array(self, dtype=np.int64)


NO_UNIT: Final = 1 << 62
"""No address x86-64 or arm64 can map: a `this_cpu_*` by the coordinator, which is no CPU, traps instead of racing."""

# --- header
GP_SEQ: Final = 0  # number of the grace period in progress, or of the last one; starts at 1
GP_DONE: Final = 1  # number of the last grace period that is over
STOP: Final = 8  # 1: blocked programs give up
DOORBELL: Final = 16  # raised by a process that wants the coordinator's attention
NR_CPU_IDS: Final = 24
NR_NODE_IDS: Final = 25
LEDGER_STRIDE: Final = 26  # bytes between the ledgers of two neighbouring pages of the kernel's memory
LOOPS_PER_MS: Final = 27  # looks at a word that take a millisecond (`machine.faults` has measured it)
TOKENS: Final = 28  # address of a line of 8 words for each CPU (`lang.tokens`); 0: a CPU is one process
UNIT_OFFSETS: Final = 64  # for each possible CPU: its unit's distance from unit 0, in words
MAX_CPUS: Final = 512
HEADER_WORDS: Final = 1024

# --- control block
CPU: Final = 0
SERVICE: Final = 1  # address of the function `call(block, code, a, b)` that asks the coordinator for something
ATOMIC: Final = 7  # 1 in an interrupt and in a callback, which may not sleep
IRQS_OFF: Final = 8
IRQ_PENDING: Final = 9  # interrupts that came while they were off
IRQ_HANDLER: Final = 10  # address of the function `call(block, 0, 0, 0)` that runs the interrupt's program; 0: none
IRQ_TABLE: Final = 11  # for the handler: the table of cgroups
IRQS: Final = 12  # how many were handled, ...
IRQS_INSIDE: Final = 13  # ... how many of these came inside an update, ...
IRQS_DEFERRED: Final = 14  # ... and how many had to wait for interrupts to be on
PREEMPT_DEPTH: Final = 15  # in an instrumented program: how often preemption was turned off, less how often on
QUIESCENT: Final = 16  # GP_SEQ as of the last quiescent state; 0 in an extended one (idle, offline, blocked)
WAITS: Final = 17  # what the context waits for: 0 nothing, or one of those below; with it the word's address, the value
WAITS_FOR: Final = 18
WAITS_VALUE: Final = 19
OPERATIONS: Final = 20  # how many operations an instrumented program has begun
LOOKS: Final = 21  # looks in the loops in which it spins
TURN_BEGAN: Final = 22  # OPERATIONS as its turn began
IN_INTERRUPT: Final = 23  # 1: its process runs an interrupt's program now
FOR_SLEEP: Final = 1  # wait_until
FOR_SPIN: Final = 2  # smp_cond_load_acquire
FOR_READERS: Final = 3  # synchronize_rcu
FOR_CALLBACKS: Final = 4  # rcu_barrier
FOR_CPU: Final = 5  # until no other task runs on its CPU
FOR_TURNS: Final = 6  # what takes a CPU down: until no task there is in a turn
NOTED: Final = 24  # how many counters the update in flight touches; NOTES holds (counter, delta) for each
NOTES: Final = 25
MAX_NOTES: Final = 3
UPDATES: Final = 32  # updates entered in the ledger
WARNINGS: Final = 33
WARN_SITE: Final = 34  # which `warn_on` fired last
FAULT: Final = 35  # REFUSED: the coordinator knows why; GIVEN_UP: the machine stops
REFUSED: Final = 1
GIVEN_UP: Final = 2
TURN: Final = 36  # turns its worker has done
BROKEN: Final = 37  # number of the check (`lang.checks`) that an instrumented program has broken, 0 for none, ...
BROKEN_AT: Final = 38  # ... and AT as it was then
NO_RESULT: Final = 39  # number, from 1, of the arithmetic that had no result (`Image.places`), 0 for none
HEADER: Final = 2  # address of the header
REACH: Final = 3  # address of the function `call(block, site, effect, 0)` that instrumented programs call
MOVES: Final = 5  # how often its task may still go on on another CPU
INTERRUPT: Final = 4  # address of the control block of the CPU's interrupts
COMMAND: Final = 40  # for the CPU: number of the command it is to do next, its kind and arguments (`machine.cpu`)
COMMAND_KIND: Final = 41
COMMAND_ARGS: Final = 42
DONE: Final = 48  # by the CPU: number of the last command it finished, and its result
RESULT: Final = 49
REQUEST: Final = 56  # 0 none, then one of the three below; with it the service code, its arguments, the answer
ASKED: Final = 1  # by the CPU
TAKEN: Final = 2  # by the coordinator: the answer has to wait
ANSWERED: Final = 3
REQUEST_CODE: Final = 57
REQUEST_ARGS: Final = 58
ANSWER: Final = 60
RING_TAIL: Final = 64  # callbacks queued by this context ...
RING_HEAD: Final = 72  # ... and taken by the coordinator
MARKS: Final = 80
MAX_MARKS: Final = 32
RECORD: Final = 112  # address of the ring that `record` writes to, 0 for none
COORDINATORS_LEDGER: Final = 113  # for the coordinator, where it has one (`machine.rounds`): its address
AT: Final = 114  # in an instrumented program: number of the site whose operation comes next or is being done
RCU_DEPTH: Final = 115  # ... and how many read-side sections it is inside of
FAULTS: Final = 116  # address of the table of faults (`machine.faults`), 0 for none
CHANCE: Final = 117  # state of the random numbers by which faults are drawn
UNIT: Final = 118  # address of per-CPU offset 0 of the unit of the CPU that it runs on
STOPPED_US: Final = 119  # its process has stopped itself, and wants to be continued after so long
TRAP_SIGNAL: Final = 120  # the access that ended its process: which signal, and the address
TRAP_ADDRESS: Final = 121
TRAP_AT: Final = 6  # and AT as it was then
OWN: Final = 122  # the `Context` that the block belongs to
RING: Final = 128
RING_ENTRIES: Final = 960  # (what, argument) each
BLOCK_WORDS: Final = 2048

# --- a ring of recorded operations (`machine.recording`); offsets are in words from where it begins
RECORD_SEQUENCE: Final = 0  # address of the word that gives every recorded operation of the machine its number
RECORD_COUNT: Final = 1  # how many were recorded, of which the ring holds the last
RECORD_CONTEXT: Final = 2  # number of the context that is running
RECORD_FIRST: Final = 8
RECORD_ENTRIES: Final = 2048  # (number, site * RECORD_CONTEXTS + context) each
RECORD_CONTEXTS: Final = 64
RECORD_WORDS: Final = RECORD_FIRST + 2 * RECORD_ENTRIES

# --- a table of faults: for each site the offset of its first rule, 0 for none; then the rules, of FAULT_WORDS each
FAULT_KIND: Final = 0  # one of those below
FAULT_AMOUNT: Final = 1  # nanoseconds
FAULT_CHANCE: Final = 2  # of CERTAIN
FAULT_NTH: Final = 3  # at the n-th pass instead, all contexts together; 0: at random
FAULT_PASSES: Final = 4  # counted where it is at the n-th
FAULT_HITS: Final = 5
FAULT_NEXT: Final = 6  # offset of the site's next rule, 0 for none
FAULT_WORDS: Final = 8
CERTAIN: Final = 1 << 31

DELAY: Final = 1  # keep the processor busy
YIELD: Final = 2  # give the processor away once
SLEEP: Final = 3
FREEZE: Final = 4  # SIGSTOP, until the coordinator continues the process
KILL: Final = 5  # SIGKILL
PREEMPT: Final = 6  # another task runs meanwhile, no grace period waits; only where preemption is on
MIGRATE: Final = 7  # go on on another CPU; only where preemption is on
INTERRUPT_HERE: Final = 8  # an interrupt comes, where the CPU has a program for it

# --- what a context asks the coordinator for (`SERVICE`)
ALLOC_PERCPU: Final = 1
FREE_PERCPU: Final = 2
KZALLOC: Final = 3
KFREE: Final = 4
SYNCHRONIZE_RCU: Final = 5
RCU_BARRIER: Final = 6
DRAIN_RING: Final = 7
LOOK: Final = 8  # see to what else is to be done, for so many microseconds, while something is waited for

# --- what `reach` has to know of an operation (`lang.sections`)
ENTERS_RCU: Final = 1
LEAVES_RCU: Final = 2
STOPS_PREEMPTION: Final = 3
ALLOWS_PREEMPTION: Final = 4
SLEEPS: Final = 5
WAITS_FOR_READERS: Final = 6
DEEPEST: Final = 255
"""Sections of one kind that a context may be inside of."""

# --- kinds of entries in a ring: the low bit of its first word, above it the program's number
CALLBACK: Final = 0
WORK: Final = 1


def control_words(contexts: int) -> int:
    """Size in words of a control segment for that many contexts."""
    return HEADER_WORDS + contexts * BLOCK_WORDS


def block_offset(context: int) -> int:
    """Where the block of a context begins, in words from the header."""
    return HEADER_WORDS + context * BLOCK_WORDS
