"""The result of a schedule that failed before, where it still fails; for what keeps tokens between sessions."""

from __future__ import annotations

from percpu_emu.api.calls import call
from percpu_emu.api.result import Result, result_of
from percpu_emu.api.scenarios import Scenario, loaded
from percpu_emu.report.exploration_report import report_of
from percpu_emu.scenario.again import AGAIN, explored_again
from percpu_emu.scenario.subjects import subject_of


def retry(
    token: str, scenario: Scenario, *, cpus: int | None = None, turns: int | None = None, seed: int | None = None
) -> Result | None:
    """What `explore` with the same keywords could find by this schedule; None where it breaks no check now."""
    with call():
        checked = loaded(scenario, {"machine.cpus": cpus, "seed": seed})
        explored = explored_again(subject_of(checked, turns), token)
        if explored is None:
            return None
        report = report_of(explored, "explore", checked.path)
        report.scope["strategy"] = "one schedule"
        report.notes.append(AGAIN)
        return result_of(report, explored.counterexample)
