"""Schedules of settings, run on real processes; and schedules drawn at random."""

from __future__ import annotations

import random

from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.room import with_room
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import Setting
from percpu_emu.replay import Replayed, replay
from percpu_emu.scenario.replaying import plan_of_schedule


def run(setting: Setting, schedule: list[int]) -> Replayed:
    return replay(setting, plan_of_schedule(setting, schedule))


def drawn(setting: Setting, seed: int) -> Stepper:
    """A random schedule, taken in the model."""

    def walk(model: Model) -> Stepper:
        chance, stepper = random.Random(seed), Stepper(model)
        while (choices := stepper.choices()) and chance.random() > 0.02:
            stepper.take(chance.choice(choices))
        return stepper

    stepper: Stepper = with_room(setting, Checks(), walk)
    return stepper


def taken(setting: Setting, schedule: list[int]) -> Stepper:
    """A schedule, taken in the model."""
    stepper: Stepper = with_room(setting, Checks(), lambda model: Stepper(model).run(schedule))
    return stepper
