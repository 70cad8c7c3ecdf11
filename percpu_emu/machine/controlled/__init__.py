"""Controlled runs: one schedule, step by step, on real CPU processes, by the reference engine."""

from percpu_emu.machine.controlled.crew import ReplayFailed
from percpu_emu.machine.controlled.replay import Replayed, ScheduleError, replay

__all__ = ["ReplayFailed", "Replayed", "ScheduleError", "replay"]
