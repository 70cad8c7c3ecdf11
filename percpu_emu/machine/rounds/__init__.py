"""Rounds: the contexts of a setting, each on a process, at hardware speed and at the same time, again and again.

Each task has a process, and each of the coordinator's contexts, which has no per-CPU copy. Of the tasks that share a
CPU one runs at a time (`lang.tokens`). Between two rounds the processes sleep. At the start of a round they wait for
each other, awake, and each then waits for a delay that the caller draws.
"""

from percpu_emu.machine.rounds.image import MAX_INTERRUPTS, RoundImage
from percpu_emu.machine.rounds.rounds import Rounds
from percpu_emu.machine.rounds.watching import RoundFailed

__all__ = ["MAX_INTERRUPTS", "RoundFailed", "RoundImage", "Rounds"]
