"""`percpu-emu run`: load, run with progress, report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from loguru import logger
from rich.console import Console

from percpu_emu.cli import talk
from percpu_emu.cli.errors import SoFar, WrongArgument
from percpu_emu.cli.face import Face
from percpu_emu.cli.files import refuse_unwritable
from percpu_emu.cli.run_page import RunPage
from percpu_emu.machine import Event, EventStream
from percpu_emu.report.ending import print_notes, print_verdict
from percpu_emu.report.exploration_report import print_counterexample
from percpu_emu.report.live import LiveMachine
from percpu_emu.report.result import Report
from percpu_emu.report.run_report import report_of
from percpu_emu.report.tables import checks_table, outcomes_table
from percpu_emu.report.terminal import LiveProgress, print_report
from percpu_emu.report.torture import print_torture
from percpu_emu.scenario.dispatch import run_loaded
from percpu_emu.scenario.load import Loaded, ScenarioError, load
from percpu_emu.scenario.stress import StressResult
from percpu_emu.scenario.verdict import exit_code


def run_and_report(
    name: str,
    overrides: Mapping[str, Any],
    so_far: SoFar,
    face: Face,
    *,
    record: bool,
    live: bool = False,
    html: Path | None = None,
) -> int:
    """Run a scenario; its report on stdout and as a page, progress and log on stderr. The exit code.

    One without steps is stressed: the contexts of its table `explore`, at native speed.
    """
    start = time.monotonic()
    refuse_unwritable({"--html": html})
    page = RunPage(html) if html is not None else None
    if page is not None:
        page.stand_by(so_far)
    loaded = load(name, overrides)
    if record and (loaded.scenario.steps or loaded.scenario.explore is None):
        raise ScenarioError(loaded.source, ["--record is for scenarios that have a table explore, and no steps"])
    errors = talk.console()
    if live:
        _refuse_to_draw(loaded, errors)
    logger.remove()
    logger.add(
        lambda message: errors.print(message, end="", markup=False, highlight=False), format="{level}: {message}"
    )
    events = EventStream()
    events.listen(partial(_note, so_far))
    if page is not None:
        page.loaded = loaded
        events.listen(page.series)
    with LiveProgress(errors, logger, as_lines=talk.has_log()) if not live else nullcontext() as progress:
        if progress is not None:
            events.listen(progress)
        if loaded.scenario.faults.inject or loaded.scenario.faults.chaos:
            logger.info(f"random choices begin at --seed {loaded.scenario.seed}")
        watch = partial(LiveMachine, errors) if live else None
        result = run_loaded(loaded, events, watch, record=record)
    report = report_of(result, time.monotonic() - start, face.columns_width())
    if page is not None:
        page.write(report)
    face.give(report, lambda console: _print(console, report, loaded, stressed=isinstance(result, StressResult)))
    return exit_code(report.verdict, report.as_expected)


def _print(console: Console, report: Report, loaded: Loaded, *, stressed: bool) -> None:
    if loaded.scenario.torture:
        print_torture(console, report)
    elif stressed:
        _print_stress(console, report, loaded)
    else:
        print_report(console, report, loaded)


def _note(so_far: SoFar, event: Event) -> None:
    """Keep the figures that a run has so far."""
    if event.kind == "figures":
        so_far.figures[event.fields["protocol"]] = event.fields["figures"]
    elif event.kind == "progress" and event.fields.get("what"):
        so_far.figures["progress"] = event.fields["what"]


def _refuse_to_draw(loaded: Loaded, console: Console) -> None:
    if not loaded.scenario.steps:
        raise ScenarioError(loaded.source, ["it has no steps: --live is for scenarios that have"])
    if talk.is_quiet() or talk.has_log():
        raise WrongArgument("--live draws on stderr: it goes with neither --quiet nor --log")
    if not console.is_terminal:
        raise WrongArgument("--live draws on a terminal, and stderr is none")


def _print_stress(console: Console, report: Report, loaded: Loaded) -> None:
    scope, figures = report.scope, report.figures
    if report.counterexample is None:  # whose columns begin with it
        console.print(f"{report.subject}: {loaded.scenario.summary}", markup=False, highlight=False)
    line = f"{scope['cpus']} CPUs: {', '.join(scope['contexts'])}; native, {scope['recorded']} recorded"
    console.print(line, style="dim", markup=False, highlight=False)
    console.print()
    if report.counterexample:
        print_counterexample(console, report.counterexample)
    if "outcomes" in figures:
        console.print(outcomes_table(figures["outcomes"]))
        console.print()
    console.print(checks_table(report))
    for line in scope["not_controlled"]:
        console.print(f"not controlled: {line}", style="dim", markup=False, highlight=False)
    print_notes(console, report)
    console.print(f"{figures['rounds']} rounds, {figures['rounds_per_s']} a second", style="dim", highlight=False)
    print_verdict(console, report)
