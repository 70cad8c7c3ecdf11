"""What a step can come to: done, out of room, or the number of the check that it violates."""

from __future__ import annotations

from typing import Final

from percpu_emu.lang.checks import Check

DONE: Final = 0
NO_CALLBACK: Final = -1
NO_WORD: Final = -2
NO_REGION: Final = -3
ENDLESS: Final = -4
MANY_REGIONS: Final = -5  # a reader holds a region beyond those that HELD has bits for
NO_TAKING: Final = -8
NO_LOCK: Final = -9  # a context holds more locks than there is room for
UNKNOWN: Final = -7  # an instruction that the engine does not know
LEARNED: Final = -6  # a schedule has written a CPU's copy from elsewhere for the first time

# what is wrong: the numbers of `lang.checks`, as plain numbers for compiled code
USE_AFTER_FREE: Final = int(Check.USE_AFTER_FREE)
WILD_ACCESS: Final = int(Check.WILD_ACCESS)
DOUBLE_FREE: Final = int(Check.DOUBLE_FREE)
WILD_FREE: Final = int(Check.WILD_FREE)
OFF_CPU: Final = int(Check.OFF_CPU)
FAULT: Final = int(Check.FAULT)
WARNING: Final = int(Check.WARNING)
REMOTE_WRITE: Final = int(Check.REMOTE_WRITE)
ERROR_BOUND: Final = int(Check.ERROR_BOUND)
DEADLOCK: Final = int(Check.DEADLOCK)
NEGATIVE: Final = int(Check.NEGATIVE_COUNTER)
WRAPPED: Final = int(Check.WRAPPED_COUNTER)
LOST: Final = int(Check.LOST_COUNT)
DOUBLED: Final = int(Check.DOUBLED_COUNT)
LEAK: Final = int(Check.LEAK)
EARLY_FREE: Final = int(Check.EARLY_FREE)
UNBALANCED: Final = int(Check.UNBALANCED_SECTION)
SLEEPS: Final = int(Check.SLEEP_IN_ATOMIC)
LIVELOCK: Final = int(Check.LIVELOCK)
