"""The shared words of a replay, in one segment: who may go on, what programs have done so far, the records.

Offsets are in words. Only the process that was granted the step writes, so nothing here needs an atomic instruction but
the tickets, by which a step is granted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

# --- the run
DONE: Final = 0
"""Steps that are done: the index of the one in progress."""
STATUS: Final = 1
BEGAN: Final = 2  # nanoseconds of the monotonic clock
ENDED: Final = 3
SETUP_STEPS: Final = 4
FREE_RUN: Final = 5  # debugger: stop at breakpoints only

TICKETS: Final = 64
"""For each process: number of the step that it was granted last, counted from 1; each on a cache line of its own."""
TICKET_WORDS: Final = 8
OVER: Final = -1
"""A ticket that says: end."""
READY: Final = 224  # for each process: 1 when it waits for its first ticket

# --- CPUs
CPUS: Final = 256
CPU_WORDS: Final = 3
DOWN: Final = 0  # its process is ended
PID: Final = 1
OFF_LINE: Final = 2

# --- what ended the run, as JSON
TEXT: Final = 512
TEXT_WORDS: Final = 2048

# --- regions: how many of each kind were handed out, then each per-CPU area, then each object
POOLS: Final = TEXT + TEXT_WORDS
POOL_WORDS: Final = 8
AREAS: Final = 0
OBJECTS: Final = 1
REGIONS: Final = POOLS + POOL_WORDS
REGION_WORDS: Final = 4
SIZE: Final = 0  # in bytes
FREED_AT: Final = 1  # index of the step that gave it back + 1
IS_FREE: Final = 2

# --- contexts: those of the setting, the callbacks, then the setup
CONTEXT_WORDS: Final = 8
RESULT: Final = 0
TURN: Final = 1
TURN_AT: Final = 2  # first step that can belong to this turn
FUNCTION: Final = 3  # number of the program, of a callback
ARGUMENT: Final = 4
NOTED: Final = 5  # counters that its update in flight touches

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
WAS_SENT: Final = 12
WAS_LAST: Final = 13
NOTHING: Final = -(1 << 63)
SETUP_RECORDS: Final = 1 << 16


class Status(IntEnum):
    """How far a run is."""

    RUNNING = 0
    FINISHED = 1
    VIOLATED = 2
    DIFFERS = 3
    """A step is another than planned."""
    BROKEN = 4
    """An error of this package, or the user's end."""


class Event(IntEnum):
    """Steps that are no operation, numbered beyond those."""

    OFFLINE = 1000
    KILL = 1001
    MIGRATE = 1002


@dataclass(frozen=True)
class Layout:
    """Where the parts begin whose size goes by the plan."""

    areas: int
    objects: int
    numbers: int
    """Contexts and callbacks, without the setup."""
    steps: int

    def region(self, index: int) -> int:
        """A region: areas first."""
        return REGIONS + index * REGION_WORDS

    def context(self, number: int) -> int:
        """A context; the setup's number is `numbers`."""
        return self.region(self.areas + self.objects) + number * CONTEXT_WORDS

    def record(self, index: int) -> int:
        """A record; those of the setup come after the `steps` of the schedule."""
        return self.context(self.numbers + 1) + index * RECORD_WORDS

    @property
    def words(self) -> int:
        """Size of the segment."""
        return self.record(self.steps + SETUP_RECORDS)


def cpu_offset(cpu: int) -> int:
    """Where the words of a CPU begin."""
    return CPUS + cpu * CPU_WORDS
