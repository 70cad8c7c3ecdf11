"""The result of a run, as a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.report.columns import DEFAULT_WIDTH
from percpu_emu.report.exploration_report import counterexample_of
from percpu_emu.report.result import Report, reported
from percpu_emu.scenario.stress import StressResult
from percpu_emu.scenario.verdict import Foreseen

if TYPE_CHECKING:
    from percpu_emu.scenario.dispatch import AnyResult


def report_of(result: AnyResult, seconds: float, width: int = DEFAULT_WIDTH) -> Report:
    """The report of a run that took so many seconds, with columns of that width."""
    example = result.counterexample if isinstance(result, StressResult) else None
    expected = _foreseen(result) if isinstance(result, StressResult) else None
    return Report(
        command="run",
        subject=result.loaded.scenario.name,
        file=result.loaded.path,
        verdict=result.verdict,
        scope=result.scope,
        checks=reported(result.checks),
        figures=result.figures,
        counterexample=counterexample_of(example, width) if example else None,
        as_expected=expected.as_expected if expected else None,
        expectation=str(expected or ""),
        notes=result.notes,
        seed=result.loaded.scenario.seed,
        seconds=round(seconds, 3),
    )


def _foreseen(result: StressResult) -> Foreseen | None:
    """The failure that the scenario expects beside the one that was found: as the model names it, if it does."""
    if result.subject.expect is None:
        return None
    example = result.counterexample
    return Foreseen(result.subject.expect, example.check if example else result.figures["violation"] or "")
