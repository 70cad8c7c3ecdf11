"""Random settings that use every operation, by random schedules with halves: on real processes as in the model."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from percpu_emu.explore.counterexample import tell_of
from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.room import with_room
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import HALF, MIGRATE, Setting
from percpu_emu.replay import replay
from percpu_emu.scenario.programs import execute
from percpu_emu.scenario.replaying import Replay, checks_of_replay, plan_of
from tests.explore.writer import write

if TYPE_CHECKING:
    from pathlib import Path

IN_ONE_TEST = 20
MOST_STEPS = 300


def walk(model: Model, seed: int) -> tuple[Stepper, list[int]]:
    """A random schedule, taken in the model."""
    chance, stepper, schedule = random.Random(seed), Stepper(model), list[int]()
    while (choices := stepper.choices()) and len(schedule) < MOST_STEPS:
        halves = [HALF + choice for choice in choices if choice < MIGRATE and stepper.is_possible(HALF + choice)]
        schedule.append(chance.choice([*choices, *halves]))
        stepper.take(schedule[-1])
    return stepper, schedule


def compare(setting: Setting, seed: int) -> None:
    stepper, schedule = with_room(setting, Checks(), lambda model: walk(model, seed))
    subject, plan = Subject("random", setting), plan_of(stepper)
    done = replay(setting, plan)
    compared = Replay(subject, tell_of(subject, stepper, schedule), plan, done)
    assert [check for check in checks_of_replay(compared) if not check.ok] == []
    if not stepper.violated:
        assert done.words == stepper.model.words(stepper.state[: stepper.model.size])
        assert done.results == stepper.model.results(stepper.state)
        assert {counter: added for counter, added in done.ledgers.items() if added} == stepper.ledgers()


@pytest.mark.parametrize("first", range(0, 120, IN_ONE_TEST))
def test_a_random_schedule_comes_to_the_same_on_real_processes(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + IN_ONE_TEST):
        written, path = write(seed), tmp_path / f"random_{seed}.py"
        path.write_text(written.text)
        try:
            compare(written.setting(execute(path)), seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def test_a_cpu_that_goes_off_line_and_comes_back_takes_its_steps(tmp_path: Path) -> None:
    """Its process had ended by then in one of four replays, and the step was never done."""
    written, path = write(70), tmp_path / "back.py"
    path.write_text(written.text)
    setting = written.setting(execute(path))
    for _ in range(12):
        compare(setting, 70)
