"""`percpu-emu replay`: a schedule, step by step, on real processes."""

from __future__ import annotations

import time

from rich.console import Console

from percpu_emu.cli.face import Face
from percpu_emu.cli.trace_files import TraceFiles
from percpu_emu.report.ending import print_notes, print_verdict
from percpu_emu.report.exploration_report import print_counterexample
from percpu_emu.report.replay_report import report_of
from percpu_emu.report.result import Report
from percpu_emu.report.tables import checks_table
from percpu_emu.scenario.replaying import replay_token
from percpu_emu.scenario.verdict import exit_code


def replay_and_report(token: str, scenario: str | None, *, debug: bool, files: TraceFiles, face: Face) -> int:
    """Replay a token on real processes; the exit code: 1 where they did something else than the virtual engine."""
    start, width = time.monotonic(), face.columns_width()
    done = replay_token(token, scenario, debug=debug)
    report = report_of(done, time.monotonic() - start, width)
    report.notes += files.write(done.expected.trace)
    face.give(report, lambda console: _print(console, report))
    return exit_code(report.verdict, report.as_expected)


def _print(console: Console, report: Report) -> None:
    if report.counterexample:
        print_counterexample(console, report.counterexample)
    console.print(checks_table(report))
    print_notes(console, report)
    print_verdict(console, report)
