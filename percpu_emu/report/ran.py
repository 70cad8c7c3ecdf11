"""What a run came to, as a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.report.explored import counterexample_of
from percpu_emu.report.result import Report, ReportedCheck
from percpu_emu.scenario.stress import StressResult

if TYPE_CHECKING:
    from percpu_emu.scenario.running import AnyResult


def report_of(result: AnyResult, seconds: float) -> Report:
    """The report of a run that took so many seconds."""
    example = result.counterexample if isinstance(result, StressResult) else None
    return Report(
        command="run",
        subject=result.loaded.scenario.name,
        verdict=result.verdict,
        scope=result.scope,
        checks=[ReportedCheck(name=check.name, ok=check.ok, detail=check.detail) for check in result.checks],
        figures=result.figures,
        counterexample=counterexample_of(example) if example else None,
        notes=result.notes,
        seed=result.loaded.scenario.seed,
        seconds=round(seconds, 3),
    )
