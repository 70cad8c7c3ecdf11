"""The result of a replay, as a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.report.columns import DEFAULT_WIDTH
from percpu_emu.report.exploration_report import counterexample_of
from percpu_emu.report.result import Report, reported
from percpu_emu.scenario.replaying import checks_of_replay
from percpu_emu.scenario.verdict import verdict_of

if TYPE_CHECKING:
    from percpu_emu.scenario.replaying import Replay


def report_of(done: Replay, seconds: float, width: int = DEFAULT_WIDTH) -> Report:
    """The report of a replay that took so many seconds, with columns of that width."""
    checks, replayed = checks_of_replay(done), done.replayed
    return Report(
        command="replay",
        subject=done.subject.name,
        verdict=verdict_of(checks, None),
        scope={
            "engine": "reference",
            "cpus": done.subject.setting.cpus,
            "controlled": "every step, granted one by one to real processes on one processor",
        },
        checks=reported(checks),
        figures={
            "steps": len(replayed.steps),
            "steps_per_s": round(len(replayed.steps) / max(replayed.seconds, 1e-9)),
            "violation": done.expected.check or None,
        },
        counterexample=counterexample_of(done.expected, width) if done.expected.check else None,
        seconds=round(seconds, 3),
    )
