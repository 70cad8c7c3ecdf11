from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.shm.awake import AwakeClock

if TYPE_CHECKING:
    import pytest


def test_a_gap_counts_as_no_more_than_the_longest_that_a_wait_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    awake = AwakeClock(gap=0.5)
    seen = []
    for passed in (0.0, 0.1, 0.4, 30.0, 0.1):
        now += passed
        seen.append(round(awake(), 6))
    assert seen == [0.0, 0.1, 0.5, 1.0, 1.1]
