"""Several scenarios in one command, `explore` or `mutants`: each is tried, and has its line; one report of all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import typer

from percpu_emu.cli.errors import SoFar, failure_of, report_of_failure
from percpu_emu.cli.face import Face
from percpu_emu.cli.searching import Request, explored
from percpu_emu.report.exploration_report import print_counterexample
from percpu_emu.report.result import Report, reported
from percpu_emu.report.several import check_of, is_as_expected, print_line, print_summary, width_of
from percpu_emu.scenario.collecting import collected
from percpu_emu.scenario.load import ScenarioError, printable
from percpu_emu.scenario.verdict import exit_code, verdict_of

WORST_FIRST: Final = (1, 2, 3, 4, 0)
"""Exit codes: a failure that is found weighs more than what could not be tried."""


def explore_several(command: str, names: Sequence[str], request: Request, so_far: SoFar, face: Face) -> int:
    """Explore every scenario that the names mean; the worst exit code."""
    start, console = time.monotonic(), face.console()
    scenarios, wrong = _all_of(names)
    width = width_of([*scenarios, *wrong])
    tried, codes = [], []
    for number, name in enumerate([*scenarios, *wrong]):
        so_far.figures.update(tried=number, of=len(scenarios) + len(wrong))
        report, code = _tried(command, name, wrong.get(name), request, so_far, face)
        tried.append(report)
        codes.append(code)
        if report.error is not None and not face.is_in_full:
            typer.echo(f"percpu-emu: {report.error.message}", err=True)
        if face.is_in_full:
            print_line(console, printable(name), report, width)
            if report.counterexample and not is_as_expected(report):
                print_counterexample(console, report.counterexample)
    whole = _whole(command, names, tried, time.monotonic() - start)
    face.give(whole, lambda console: print_summary(console, whole))
    return min(codes, key=WORST_FIRST.index)


def _all_of(names: Sequence[str]) -> tuple[list[str], dict[str, ScenarioError]]:
    """The scenarios, each once; and the arguments that mean none, with the reason."""
    found, wrong = dict[str, None](), dict[str, ScenarioError]()
    for name in names:
        try:
            found |= dict.fromkeys(collected(name))
        except ScenarioError as error:
            wrong[name] = error
    return list(found), wrong


def _tried(
    command: str, name: str, wrong: ScenarioError | None, request: Request, so_far: SoFar, face: Face
) -> tuple[Report, int]:
    """The report of a scenario and its exit code, also where it cannot be loaded or searched."""
    start = time.monotonic()
    try:
        if wrong is not None:
            raise wrong
        report = explored(command, name, request, so_far, face.columns_width())[1]
    except Exception as error:  # whatever it is, the other scenarios are tried
        failure = failure_of(error)
        return report_of_failure(command, name, failure, time.monotonic() - start, {}), failure.code
    if report.counterexample and is_as_expected(report):
        report.counterexample.trace = {}
    return report, exit_code(report.verdict, report.as_expected)


def _whole(command: str, names: Sequence[str], tried: list[Report], seconds: float) -> Report:
    checks = [check_of(report) for report in tried]
    return Report(
        command=command,
        subject=" ".join(names),
        verdict=verdict_of(checks, None),
        scope={"engine": "virtual", "scenarios": len(tried)},
        checks=reported(checks),
        seconds=round(seconds, 3),
        scenarios=tried,
    )
