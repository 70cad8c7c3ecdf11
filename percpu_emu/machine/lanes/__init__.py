"""Lanes: the contexts of a setting, each on a process, at hardware speed and at the same time, round after round.

A lane is the process of one task, or of one of the coordinator's contexts, which has no per-CPU copy. Of the tasks that
share a CPU one runs at a time (`lang.tokens`). Between two rounds the lanes sleep; at the beginning of one they wait
for each other, awake, and are then let off with a delay each that the caller draws.
"""

from percpu_emu.machine.lanes.image import MAX_INTERRUPTS, LaneImage
from percpu_emu.machine.lanes.rounds import Lanes
from percpu_emu.machine.lanes.watching import RoundFailed

__all__ = ["MAX_INTERRUPTS", "LaneImage", "Lanes", "RoundFailed"]
