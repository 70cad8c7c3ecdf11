"""The results of several scenarios: a check and a line for each, and one line for all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from percpu_emu.report.tables import VERDICT_STYLES
from percpu_emu.scenario.verdict import Check, exit_code
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from rich.console import Console

    from percpu_emu.report.result import Report

WIDEST_NAME: Final = 48
_WIDEST_CHECK: Final = len("unbalanced-section")


def is_as_expected(report: Report) -> bool:
    """Whether a scenario passes, or fails exactly as it expects."""
    return report.error is None and exit_code(report.verdict, report.as_expected) == 0


def check_of(report: Report) -> Check:
    """A scenario's line among the checks of all: ok as expected, failed, or not judged."""
    if report.error is not None:
        return Check(report.subject, False if report.error.kind == "failed" else None, report.error.message)
    if report.as_expected is not None:
        return Check(report.subject, report.as_expected, report.expectation)
    results = {"pass": True, "fail": False, "inconclusive": None}
    return Check(report.subject, results[report.verdict], f"{_found(report)}, {report.figures['states']} states")


def width_of(names: Iterable[str]) -> int:
    """How wide the column of names is."""
    return min(max(map(len, names), default=0), WIDEST_NAME)


def print_line(console: Console, name: str, report: Report, width: int) -> None:
    """What came of a scenario: the verdict or the check found, whether that is expected, states, seconds."""
    console.print(_line(name, report, width), markup=False, highlight=False, soft_wrap=True, style=_style(report))


def _line(name: str, report: Report, width: int) -> str:
    if report.error is not None:
        return f"{name:{width}}  error: {'; '.join(report.error.message.splitlines())}"
    said = f"{name:{width}}  {_found(report):{_WIDEST_CHECK}}  {_expected(report):12}"
    said += f"  {report.figures['states']:>9} states  {report.seconds:>8.3f} s"
    example = report.counterexample
    if example is not None:
        said += f"  {plural(example.preemptions, 'preemption')}, {plural(example.steps, 'step')}"
    return said if report.as_expected is not False else f"{said}; {report.expectation}"


def _found(report: Report) -> str:
    return report.counterexample.check if report.counterexample else report.verdict


def _expected(report: Report) -> str:
    if report.as_expected is None and report.verdict == "inconclusive":
        return ""
    return "as expected" if is_as_expected(report) else "unexpected"


def _style(report: Report) -> str:
    if is_as_expected(report):
        return ""
    return "bold red" if check_of(report).ok is False else "yellow"


def print_outcome(console: Console, report: Report) -> None:
    """The verdict alone, on one line."""
    if report.scenarios:
        print_summary(console, report)
    else:
        said = f"; {escape(report.expectation)}" if report.expectation else ""
        style = VERDICT_STYLES[report.verdict]
        line = f"[{style}]{report.verdict}[/] in {report.seconds:.2f} s{said}"
        console.print(line, highlight=False, soft_wrap=True)


def print_summary(console: Console, whole: Report) -> None:
    """The last line: the verdict over all scenarios, and how many of them went which way."""
    results = [check_of(report).ok for report in whole.scenarios]
    errors = sum(report.error is not None and report.error.kind != "failed" for report in whole.scenarios)
    counted = {
        "as expected": results.count(True),
        "failed": results.count(False),
        "inconclusive": results.count(None) - errors,
        "not tried for an error": errors,
    }
    said = ", ".join(f"{count} {what}" for what, count in counted.items() if count)
    style = VERDICT_STYLES[whole.verdict]
    line = f"[{style}]{whole.verdict}[/] in {whole.seconds:.2f} s: {plural(len(results), 'scenario')}, {escape(said)}"
    console.print(line, highlight=False, soft_wrap=True)
