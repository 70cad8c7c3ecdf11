"""Replay: one schedule, step by step, on real CPU processes.

Which step can be taken, what it waits for and which slot a callback gets is decided elsewhere, and stands in the plan.
Here processes run the programs and perform their accesses on real memory.
"""

from percpu_emu.replay.caller import Replayed, replay
from percpu_emu.replay.crew import ReplayFailed
from percpu_emu.replay.plan import Difference, Part, Plan, PlannedStep

__all__ = ["Difference", "Part", "Plan", "PlannedStep", "ReplayFailed", "Replayed", "replay"]
