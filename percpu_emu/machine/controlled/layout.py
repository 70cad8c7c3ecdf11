"""The shared words of a controlled run, in one segment: who may go on, the state of contexts and CPUs, the records.

Offsets are in words. Only the process that was granted the step writes, so nothing here needs an atomic instruction but
the tickets, by which a step is granted.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from percpu_emu.lang.setting import CALLBACKS, MAX_CONTEXTS

# --- the run
DONE: Final = 0
"""Steps that are done: the index of the one in progress."""
STATUS: Final = 1
BEGAN: Final = 2  # nanoseconds of the monotonic clock
ENDED: Final = 3
READERS: Final = 4  # contexts that a grace period beginning now would wait for, as bits
WAITERS: Final = 5  # contexts that wait for others, as bits
SETUP_STEPS: Final = 6
FREE_RUN: Final = 8  # debugger: stop at breakpoints only

TICKETS: Final = 64
"""For each process: number of the step that it was granted last, counted from 1; each on a cache line of its own."""
TICKET_WORDS: Final = 8
OVER: Final = -1
"""A ticket that says: end."""
READY: Final = 224  # for each process: 1 when it waits for its first ticket
PROCESSES: Final = 17

# --- CPUs
CPUS: Final = 256
CPU_WORDS: Final = 8
DOWN: Final = 0
ACTIVE: Final = 1  # the interrupt that is active there: its context + 1
PINNED: Final = 2  # the task that may not be preempted there: its context + 1
IRQS_OFF: Final = 3
IRQS_BY: Final = 4  # context that turned them off
PID: Final = 5

# --- contexts: those of the setting, the callback slots, then the setup
CONTEXTS: Final = 512
CONTEXT_WORDS: Final = 32
OWNER: Final = 0  # process that does its steps
CPU: Final = 1  # -1 for none
KIND: Final = 2
IS_OVER: Final = 3
STARTED: Final = 4
SENT: Final = 5  # results that its program was sent in this turn; more than 0: it is mid-turn
RCU_DEPTH: Final = 6
PREEMPT_DEPTH: Final = 7
OWN_IRQS_OFF: Final = 8  # of a context without a CPU
REGISTERED: Final = 9  # its wait for RCU has begun: 1, or IN_BARRIER
IN_BARRIER: Final = 2
WAITS: Final = 10  # contexts that it has to wait for, as bits
TO_TAKE_DOWN: Final = 11  # CPU + 1 that its next step takes down
MIGRATES: Final = 12
RESULT: Final = 13
TURN: Final = 14
TURN_AT: Final = 15  # first step that can belong to this turn
FUNCTION: Final = 16  # number of the program, in a slot
ARGUMENT: Final = 17
NOTED: Final = 18

# --- regions: per-CPU memory, then objects
REGIONS: Final = CONTEXTS + (MAX_CONTEXTS + CALLBACKS + 1) * CONTEXT_WORDS
MAX_REGIONS: Final = 32
REGION_WORDS: Final = 4
POOL_WORDS: Final = (1 + MAX_REGIONS) * REGION_WORDS
HANDED_OUT: Final = 0  # of the pool: so many so far. Then, for each region:
SIZE: Final = 0  # in words
FREED_AT: Final = 1  # index of the step that gave it back + 1
IS_FREE: Final = 2

# --- what ended the run, as JSON
TEXT: Final = REGIONS + 2 * POOL_WORDS
TEXT_WORDS: Final = 2048
SCHEDULE: Final = TEXT + TEXT_WORDS

# --- a record: one step, or one operation of the setup
RECORD_WORDS: Final = 16
CODE: Final = 0  # of the operation, + 1; 0: not begun
CONTEXT: Final = 1
ON_CPU: Final = 2
SITE: Final = 3
ARGS: Final = 4
ADDRESS: Final = 7  # of the word that it touches, NOTHING for none
OLD: Final = 8
NEW: Final = 9
GAVE: Final = 10
WROTE: Final = 11
WAITS_FOR: Final = 12
WAS_SENT: Final = 13
WAS_LAST: Final = 14
NOTHING: Final = -(1 << 63)
SETUP_RECORDS: Final = 1 << 16


class Status(IntEnum):
    """How far a run is."""

    RUNNING = 0
    FINISHED = 1
    VIOLATED = 2
    REFUSED = 3
    """The schedule asks for what cannot be done."""
    BROKEN = 4
    """An error of this package, or the user's end."""


class Kind(IntEnum):
    """What a context is; the last two are in a slot."""

    TASK = 0
    INTERRUPT = 1
    OFFLINE = 2
    KILL = 3
    CALLBACK = 4
    WORK = 5


class Event(IntEnum):
    """Steps that are no operation, numbered beyond those."""

    OFFLINE = 1000
    KILL = 1001
    MIGRATE = 1002


def words_in_all(steps: int) -> int:
    """Size of the segment for a schedule of so many steps."""
    return record_offset(steps, steps + SETUP_RECORDS)


def record_offset(steps: int, index: int) -> int:
    """Where a record begins; those of the setup come after the `steps` of the schedule."""
    return SCHEDULE + steps + index * RECORD_WORDS
