"""Where everything stands in a state, which is one row of integers, and in `vm`, what all states of a setting share."""

from __future__ import annotations

from typing import Final

from percpu_emu.lang.setting import OBJECT_WORDS

# --- header of a state
LAST: Final = 0  # the context that ran last, plus 1; kept only by searches that count preemptions
ONLINE: Final = 1  # bit for each CPU
IRQS_OFF: Final = 2  # bit for each CPU; a context without a CPU has its own, in DEPTH
AREAS: Final = 3  # per-CPU allocations so far
OBJECTS: Final = 4  # objects so far
EARLY: Final = 5  # 1 + the region that was freed while a reader still held it
SPENT: Final = 6  # preemptions since the start; kept only by a search within so many
FAILURES: Final = 7  # allocations that may still give 0
HEADER_WORDS: Final = 8

# --- block of a context
STATUS: Final = 0
PC: Final = 1
CPU: Final = 2  # plus 1; 0 for none
DEPTH: Final = 3  # read-side sections, preempt_disable x PREEMPT, IRQ where it has turned interrupts off
WAIT: Final = 4  # contexts that are waited for, as bits; REGISTERED where a wait has begun
MID_TURN: Final = 5  # 1 in a turn; HALFWAY between the load and the store of a read-modify-write
MIGRATIONS: Final = 6  # left
RESULT: Final = 7
HELD: Final = 8  # regions that a reader found by rcu_dereference, as bits
NOTED: Final = 9
NOTES: Final = 10  # (counter, delta) x MAX_NOTES
WORK: Final = 16  # of what is queued: AS_CALLBACK, AS_WORK or AS_INTERRUPT
LOADED: Final = 17  # what the load of a read-modify-write has read; 0 where none is halfway
REGISTERS: Final = 18
HALFWAY: Final = 2
REGISTERED: Final = 1 << 62
MAX_HELD: Final = 62
PREEMPT: Final = 1 << 8
IRQ: Final = 1 << 16
MAX_NESTED: Final = 255
MAX_NOTES: Final = 3

# --- status of a context
UNUSED: Final = 0  # of a callback: nothing is queued there
WAITING: Final = 1  # an interrupt, or a callback, that has not started
RUNNING: Final = 2
OVER: Final = 3

# --- kinds of contexts
TASK: Final = 0
INTERRUPT: Final = 1
OFFLINE: Final = 2
KILL: Final = 3
CALLBACK: Final = 4

# --- how what is queued runs
AS_CALLBACK: Final = 0  # of RCU: on its CPU as an interrupt, behind a grace period
AS_WORK: Final = 1
AS_INTERRUPT: Final = 2  # of a CPU that another context has chosen

# --- states of a region: one of these, with the size in words above
LIVE: Final = 1
FREED: Final = 2
STATE_OF_REGION: Final = 3
SIZE_SHIFT: Final = 2
MAX_BYTES: Final = OBJECT_WORDS * 8

# --- what a step leaves in the log
LOG_ADDRESS: Final = 0  # -1 for none
LOG_OLD: Final = 1
LOG_NEW: Final = 2
LOG_MODE: Final = 3
LOG_RESULT: Final = 4
LOG_QUEUED: Final = 5
LOG_WAIT: Final = 6
LOG_BLOCKERS: Final = 7  # of a context that is blocked: the contexts that block it, as bits
LOG_ENDED: Final = 8
LOG_WORDS: Final = 16

# --- a lock that is held: its address, and the row that took it above
LOCK_BITS: Final = 40
LOCK_MASK: Final = (1 << LOCK_BITS) - 1
EFFECT_BITS: Final = 2  # of LOCKING
EFFECT: Final = 3

# --- a row of TAKINGS; what was held stands behind
TAKING_CONTEXT: Final = 0
TAKING_ROW: Final = 1
TAKING_LOCK: Final = 2  # -1: interrupts were turned on
TAKING_FLAGS: Final = 3
TAKING_HELD: Final = 4
IN_INTERRUPT: Final = 1
INTERRUPTS_OFF: Final = 2
TRIED: Final = 4

# --- how a step touches a word
NOT: Final = 0
READS: Final = 1
ADDS: Final = 2
WRITES: Final = 3

# --- `vm`, one array, so that a compiled call takes few arguments
CPUS: Final = 0
CONTEXTS: Final = 1  # of the setting
MAX_CALLBACKS: Final = 2
STATE_WORDS: Final = 3
FIRST_WORD: Final = 4
MAX_WORDS: Final = 5
FIRST_REGION: Final = 6
MAX_AREAS: Final = 7
MAX_OBJECTS: Final = 8
EXCLUSIVE: Final = 9
ONLINE_MASK: Final = 10  # address of CPU_ONLINE_MASK
TOTAL_ENTRY: Final = 11  # where the program that gives a counter's value begins, -1 for none
LEFT: Final = 12  # regions that may be live at the end, -1 for any number
BOUND: Final = 13  # -1 for none
CHECKER: Final = 14  # the context that runs it, behind the others; its block is not part of the state
WORD_COUNT: Final = 15  # words known so far
HASH_MASK: Final = 16
NODES: Final = 17
KERNEL_FIRST: Final = 18  # addresses of the kernel's memory that are always there
KERNEL_END: Final = 19

# where its parts begin:
CODE: Final = 20
CONSTANTS: Final = 21
LIVE_MASKS: Final = 22  # for each row of code, the registers that are live before it, as bits
ENTRIES: Final = 23  # of each program that is queued
BLOCKS: Final = 24  # of each context, each callback and the checker: where its block is in a state
REGISTER_COUNTS: Final = 25
KINDS: Final = 26
TARGETS: Final = 27  # the CPU that an offline or kill takes down
KEYS: Final = 28  # addresses of words, in an open hash table ...
INDICES: Final = 29  # ... and which word each is
ADDRESSES: Final = 30  # of each word
LOG: Final = 31
REMOTE: Final = 32  # for each word, 1 where a context that is not on its CPU has ever written it
MARKS: Final = 33  # for each mark, 1 where it was reached
SCRATCH: Final = 34  # a block, as it was: to notice a context that goes round and round
NEWS: Final = 35  # 1 after REMOTE has changed
CHECKING: Final = 36  # 1 while a check runs its program, whose marks do not count
LOCKING: Final = 37  # for each row of code, what it does to a lock: an effect of `lang.locking`, and the offset above
HELD_LOCKS: Final = 38  # locks that a context may hold at a time: words behind its registers; 0 where no row takes any
TAKINGS: Final = 39  # how locks were taken, each once: rows of TAKING_HELD + HELD_LOCKS words
TAKEN: Final = 40  # rows of TAKINGS in use
MAX_TAKINGS: Final = 41
VM_HEADER: Final = 48
NOWHERE: Final = -2
"""An address that is none: a copy of a CPU that there is not."""
LEDGER: Final = 1 << 60
"""Added to a counter's address: its ledger is a word, too."""
ENTERED: Final = 1 << 57
"""Added to a counter's address: 1 once something was entered. Only then is the counter held against its ledger."""
EMPTY: Final = -1
