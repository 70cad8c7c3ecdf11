"""The last lines of every report in the terminal: notes, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.report.tables import VERDICT_STYLES

if TYPE_CHECKING:
    from rich.console import Console

    from percpu_emu.report.result import Report


def print_notes(console: Console, report: Report) -> None:
    """What a reader should know beside the checks, a line each."""
    for note in report.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def print_verdict(console: Console, report: Report) -> None:
    """The last lines: where a failure is expected, whether that one was found; the verdict."""
    if report.expectation:
        console.print(report.expectation, style="green" if report.as_expected else "red", highlight=False)
    style = VERDICT_STYLES[report.verdict]
    console.print(f"[{style}]{report.verdict}[/] in {report.seconds:.2f} s", highlight=False)
