"""Explorations and replays as a report object, and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from percpu_emu.report.columns import DEFAULT_WIDTH, columns
from percpu_emu.report.ending import print_notes, print_verdict
from percpu_emu.report.replay_line import replay_line
from percpu_emu.report.result import Report, ReportedCounterexample, ReportedPlace, reported
from percpu_emu.report.story import story
from percpu_emu.report.tables import checks_table
from percpu_emu.report.trace_json import trace_dict
from percpu_emu.scenario.exploration import checks_of, foreseen, scope_of, verdict
from percpu_emu.scenario.judging import ledger_notes

if TYPE_CHECKING:
    from percpu_emu.explore.counterexample import Counterexample
    from percpu_emu.explore.strategies import Explored
    from percpu_emu.lang.trace import Trace


def report_of(explored: Explored, command: str, file: str, width: int = DEFAULT_WIDTH) -> Report:
    """The report of a command's exploration of the scenario in a file, with columns of that width."""
    checks = checks_of(explored)
    expected = foreseen(explored)
    notes = [] if explored.complete or explored.counterexample else [f"not everything was covered: {explored.stopped}"]
    notes += ledger_notes(explored.subject)
    return Report(
        command=command,
        subject=explored.subject.name,
        file=file,
        verdict=verdict(explored, checks),
        scope=scope_of(explored),
        checks=reported(checks),
        figures=explored.figures,
        reduction=explored.reduction,
        counterexample=counterexample_of(explored.counterexample, width) if explored.counterexample else None,
        as_expected=expected.as_expected if expected else None,
        expectation=str(expected or ""),
        notes=notes,
        seed=explored.options.seed,
        seconds=explored.figures["seconds"],
    )


def counterexample_of(example: Counterexample, width: int = DEFAULT_WIDTH) -> ReportedCounterexample:
    """A counterexample in all its renderings."""
    return ReportedCounterexample(
        check=example.check,
        token=example.token,
        preemptions=example.preemptions,
        steps=len(example.schedule),
        columns=columns(example.trace, width),
        story=story(example.trace),
        replay=replay_line(example.trace),
        blamed=_blamed(example.trace),
        trace=trace_dict(example.trace),
    )


def _blamed(trace: Trace) -> list[ReportedPlace]:
    """Where the steps to blame stand; events of the machine stand nowhere."""
    guilty = trace.violation.guilty if trace.violation else ()
    found = dict.fromkeys(trace.steps[number].site for number in guilty)
    return [
        ReportedPlace(program=site.program, file=site.file, line=site.line, text=site.text) for site in found if site
    ]


def print_explored(console: Console, report: Report, summary: str) -> None:
    """An exploration for a person."""
    if report.counterexample is None:  # whose columns begin with it
        console.print(f"[bold]{report.subject}[/]: {escape(summary)}", highlight=False)
    console.print(_scope_line(report.scope), style="dim", markup=False, highlight=False)
    console.print()
    if report.counterexample:
        print_counterexample(console, report.counterexample)
    console.print(checks_table(report))
    print_notes(console, report)
    figures = report.figures
    said = [f"{figures['states']} states", f"{figures['steps']} steps"]
    if figures.get("executions") is not None:
        said.insert(0, f"{figures['executions']:,} interleavings".replace(",", " "))
    console.print(", ".join(said), style="dim", highlight=False)
    for line in _beside_the_verdict(report.scope):
        console.print(line, style="dim", markup=False, highlight=False)
    print_verdict(console, report)


def _beside_the_verdict(scope: dict[str, Any]) -> Iterator[str]:
    """What the verdict is under, and what confirms it."""
    if "remote_words" in scope:
        yield f"written by other CPUs: {', '.join(scope['remote_words'])}; {scope['split']}"
    if "scheduler" in scope:
        yield f"scheduler: {scope['scheduler']}"
    if "confirmed" in scope:
        yield f"confirmed: {scope['confirmed']}"


def print_counterexample(console: Console, example: ReportedCounterexample) -> None:
    """The columns, then the story."""
    console.print(example.columns, markup=False, highlight=False, soft_wrap=True)
    for sentence in example.story:
        console.print(f"* {sentence}", markup=False, highlight=False)
    console.print()


def _scope_line(scope: dict[str, Any]) -> str:
    constants = ", ".join(f"{name} = {value}" for name, value in scope["constants"].items())
    small = f"; {constants}" if constants else ""
    return f"{scope['cpus']} CPUs: {', '.join(scope['contexts'])}{small}; {scope['strategy']}; sc memory"
