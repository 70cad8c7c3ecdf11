"""A native run of the scenarios whose verdict was once wrong says what the search says, or has not seen it."""

from __future__ import annotations

from typing import Final

import pytest

from percpu_emu.machine import EventStream
from percpu_emu.scenario.load import load
from percpu_emu.scenario.stress import Stressed, refuse_what_cannot_run, stress
from percpu_emu.scenario.subjects import subject_of
from tests.explore.test_faults import FAULTS, INCONCLUSIVE, PASS, TABLE

pytestmark = pytest.mark.timeout(300)  # the first run of a scenario compiles its programs

SEEN: Final = {
    "beyond-static", "section-left-open", "unlock-without-lock", "kinds-mixed", "wait-in-section",
    "grace-period-in-section", "warn-then-hang", "past-the-last-cpu", "division-by-zero", "shift-by-64",
}  # fmt: skip
"""What every round shows."""
NOT_FOR_RUN: Final = {"wait-window-kill": "a CPU is killed", "many-marks": "more marks than a run counts"}
SECONDS: Final = 0.5


def seen(name: str) -> Stressed:
    loaded = load(str(FAULTS / f"{name}.toml"))
    subject = subject_of(loaded)
    refuse_what_cannot_run(loaded, subject)
    return stress(loaded, subject, EventStream(), record_every=4, seconds=SECONDS)


@pytest.mark.parametrize("name", sorted(TABLE.keys() - NOT_FOR_RUN))
def test_a_run_says_what_the_search_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = TABLE[name].answer
    if right != PASS:  # a round that hangs is right here, and too early is no mistake
        monkeypatch.setattr("percpu_emu.scenario.stress.PATIENCE", 2.0)
    found = seen(name)
    if right == PASS:
        assert (found.violation, found.stuck) == (None, "")
    elif name in SEEN:
        assert found.violation is not None
        assert found.violation.check == right
    else:
        assert found.violation is None or found.violation.check == right
        assert right != INCONCLUSIVE
