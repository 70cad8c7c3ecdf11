"""Replay: one schedule, step by step, on real CPU processes.

The model decides which step can be taken, what it waits for, and which number a callback gets: the plan says it.
Processes run the programs and perform their accesses on real memory.
"""

from percpu_emu.replay.caller import Replayed, replay
from percpu_emu.replay.crew import ReplayFailed
from percpu_emu.replay.plan import Difference, Part, Plan, PlannedStep

__all__ = ["Difference", "Part", "Plan", "PlannedStep", "ReplayFailed", "Replayed", "replay"]
