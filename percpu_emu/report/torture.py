"""A torture's report in the terminal, in the order in which rcutorture prints its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console

from percpu_emu.report.tables import checks_table

if TYPE_CHECKING:
    from percpu_emu.report.result import Report

_PARAMETERS = ("cpus", "torture_type", "nreaders", "nfakewriters", "stutter", "n_barrier_cbs", "irqreader")
_ENDS = {"pass": "SUCCESS", "fail": "FAILURE", "inconclusive": "INCONCLUSIVE"}


def print_torture(console: Console, report: Report) -> None:
    """Parameters, histograms, checks, parameters again with the outcome."""
    parameters = " ".join(f"{key}={report.scope[key]}" for key in _PARAMETERS)
    _print(console, f"{report.subject}: --- start of test: {parameters}")
    for line in torture_lines(report.figures) if report.figures else ():
        _print(console, line)
    console.print()
    console.print(checks_table(report))
    for note in report.notes:
        _print(console, f"note: {note}")
    style = "bold green" if report.verdict == "pass" else "bold red"
    _print(console, f"{report.subject}: --- end of test, {report.seconds:.1f} s: {parameters}")
    console.print(f"[{style}]{_ENDS[report.verdict]}[/]", highlight=False)


def torture_lines(figures: dict[str, Any]) -> Iterator[str]:
    """The figures; "!!!" in front of those that show a failure."""
    pipe, stages = figures["reader_pipe"], figures["free_block_circulation"]
    counted = ("versions", "free_list_empty", "rtmbe", "rtbe", "barrier_tests", "grace_periods", "interrupts")
    wrong = figures["rtmbe"] or figures["rtbe"]
    yield _flagged(wrong, " ".join(f"{key}: {figures[key]}" for key in counted))
    yield _flagged(sum(pipe[2:]), f"Reader Pipe: {' '.join(map(str, pipe))}")
    yield _flagged(stages[-1], f"Free-Block Circulation: {' '.join(map(str, stages))}")


def _flagged(wrong: int, line: str) -> str:
    return f"!!! {line}" if wrong else f"    {line}"


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
