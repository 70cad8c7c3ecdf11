"""A schedule that failed before, taken again."""

from __future__ import annotations

from pathlib import Path

import pytest

from percpu_emu.scenario.again import AGAIN, explored_again
from percpu_emu.scenario.exploration import cut_short
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of
from tests.api.scenarios import FIXED, FOUND, write_race

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
TOKEN = FOUND.split()[2]


def test_a_schedule_that_still_fails_is_the_result(tmp_path: Path) -> None:
    subject = subject_of(load(str(write_race(tmp_path))))
    explored = explored_again(subject, TOKEN)
    assert explored is not None
    assert explored.counterexample is not None
    assert (explored.counterexample.check, explored.counterexample.token) == ("final", TOKEN)
    assert (explored.complete, cut_short(explored)) == (False, AGAIN)


@pytest.mark.parametrize("token", ["race:.9G7a", "race:99.9G7a", "race:11.0000", "nonsense"])
def test_a_schedule_that_breaks_nothing_or_fits_nothing_is_no_result(tmp_path: Path, token: str) -> None:
    assert explored_again(subject_of(load(str(write_race(tmp_path)))), token) is None


def test_a_schedule_of_other_programs_is_no_result(tmp_path: Path) -> None:
    assert explored_again(subject_of(load(str(write_race(tmp_path, programs=FIXED)))), TOKEN) is None
