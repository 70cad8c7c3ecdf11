"""`percpu-emu explore`, `mutants` and `replay`: search, report; a schedule on real processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from percpu_emu.cli.errors import SoFar
from percpu_emu.cli.output import print_object
from percpu_emu.cli.progress import search_progress
from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Explored, Options, explore
from percpu_emu.explore.token import Token
from percpu_emu.report.exploration_report import (
    counterexample_of,
    mutants_table,
    print_counterexample,
    print_explored,
    print_verdict,
    report_of,
)
from percpu_emu.report.result import Report, reported
from percpu_emu.report.stepper import html
from percpu_emu.report.tables import checks_table
from percpu_emu.scenario.exploration import checks_of, verdict
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.scenario.verdict import Check, Foreseen, exit_code, verdict_of

MUTANTS_FOLDERS = ("examples", "protocols")
MUTANTS_WIDTH = 110
"""Columns of the table: narrower, names would be cut."""


def explore_and_report(
    name: str,
    overrides: Mapping[str, Any],
    options: Options,
    so_far: SoFar,
    *,
    turns: int | None,
    prefix: str | None,
    html_file: Path | None,
    as_json: bool,
) -> int:
    """Explore a scenario; its report on stdout, progress on stderr. The exit code."""
    subject = subject_of(load(name, overrides), turns)
    if prefix is not None:
        from percpu_emu.scenario.replaying import schedule_in, subject_of_token

        token = Token.parse(prefix)
        subject = subject_of_token(token, name)
        options = Options(**{**vars(options), "prefix": schedule_in(token, subject).schedule})
    with search_progress(Console(stderr=True), subject.name, so_far.figures) as progress:
        explored = explore(subject, options, progress)
    report = report_of(explored)
    if html_file is not None:
        _write_html(explored, html_file, report)
    if as_json:
        print_object(report)
    else:
        print_explored(Console(), report, subject.summary)
    return exit_code(report.verdict, report.as_expected)


def _write_html(explored: Explored, path: Path, report: Report) -> None:
    if explored.counterexample is None:
        report.notes.append(f"no counterexample, so {path} was not written")
        return
    path.write_text(html(explored.counterexample.trace), encoding="utf-8")
    report.notes.append(f"{path}: step through it in a browser")


def mutants_and_report(*, as_json: bool) -> int:
    """Explore every protocol that ships, broken and fixed, and say whether each has the expected result."""
    start = time.monotonic()
    names = [n for n, entry in shipped().items() if entry.place.path.parent.name in MUTANTS_FOLDERS]
    rows, checks = [], []
    with search_progress(Console(stderr=True), "mutants") as progress:
        for name in names:
            row = _mutant(explore(subject_of(load(name)), Options(budget=Budget(seconds=30)), progress))
            rows.append(row)
            checks.append(_as_expected(row))
    report = Report(
        command="mutants",
        subject="",
        verdict=verdict_of(checks, None),
        scope={"engine": "virtual", "strategy": "exhaustive"},
        checks=reported(checks),
        figures={"protocols": rows},
        seconds=round(time.monotonic() - start, 3),
    )
    if as_json:
        print_object(report)
    else:
        console = Console(width=max(Console().width, MUTANTS_WIDTH))
        console.print(mutants_table(rows))
        print_verdict(console, report)
    return exit_code(report.verdict, report.as_expected)


def _mutant(explored: Explored) -> dict[str, Any]:
    example = explored.counterexample
    return {
        "name": explored.subject.name,
        "broken": explored.subject.expect is not None,
        "expected": explored.subject.expect,
        "verdict": verdict(explored, checks_of(explored)),
        "check": example.check if example else None,
        "states": explored.figures["states"],
        "seconds": explored.figures["seconds"],
        "search_seconds": explored.figures.get("search_seconds"),
        "preemptions": example.preemptions if example else None,
        "steps": len(example.schedule) if example else None,
        "token": example.token if example else None,
    }


def _as_expected(row: dict[str, Any]) -> Check:
    if row["broken"]:
        foreseen = Foreseen(row["expected"], row["check"] or "")
        return Check(row["name"], foreseen.as_expected, str(foreseen))
    return Check(row["name"], row["verdict"] == "pass", f"{row['verdict']}, {row['states']} states")


def replay_and_report(token: str, scenario: str | None, *, debug: bool, html_file: Path | None, as_json: bool) -> int:
    """Replay a token on real processes; the exit code: 1 where they did something else than the virtual engine."""
    from percpu_emu.scenario.replaying import checks_of_replay, replay_token

    start = time.monotonic()
    done = replay_token(token, scenario, debug=debug)
    checks = checks_of_replay(done)
    replayed = done.replayed
    report = Report(
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
        counterexample=counterexample_of(done.expected) if done.expected.check else None,
        seconds=round(time.monotonic() - start, 3),
    )
    if html_file is not None:
        html_file.write_text(html(done.expected.trace), encoding="utf-8")
    if as_json:
        print_object(report)
    else:
        console = Console()
        if report.counterexample:
            print_counterexample(console, report.counterexample)
        console.print(checks_table(report))
        print_verdict(console, report)
    return exit_code(report.verdict, report.as_expected)
