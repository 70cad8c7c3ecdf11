"""`percpu-emu run`: load, run with progress, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from loguru import logger
from rich.console import Console

from percpu_emu.machine import EventStream
from percpu_emu.report.result import Report, ReportedCheck
from percpu_emu.report.terminal import LiveProgress, print_report
from percpu_emu.scenario.load import load
from percpu_emu.scenario.run import RunResult, run_scenario
from percpu_emu.scenario.verdict import EXIT_CODES


def run_and_report(name: str, overrides: Mapping[str, Any], *, as_json: bool) -> int:
    """Run a scenario; its report on stdout, progress and log on stderr. The exit code."""
    start = time.monotonic()
    loaded = load(name, overrides)
    errors = Console(stderr=True)
    logger.remove()
    logger.add(
        lambda message: errors.print(message, end="", markup=False, highlight=False), format="{level}: {message}"
    )
    events = EventStream()
    with LiveProgress(errors, logger) as progress:
        events.listen(progress)
        result = run_scenario(loaded, events)
    report = _report(result, time.monotonic() - start)
    if as_json:
        sys.stdout.write(report.model_dump_json() + "\n")
    else:
        print_report(Console(), report, loaded.scenario)
    return EXIT_CODES[report.verdict]


def _report(result: RunResult, seconds: float) -> Report:
    scenario = result.loaded.scenario
    checks = [ReportedCheck(name=check.name, ok=check.ok, detail=check.detail) for check in result.checks]
    return Report(
        command="run",
        subject=scenario.name,
        verdict=result.verdict,
        scope=result.scope,
        checks=checks,
        figures=result.figures,
        notes=result.notes,
        seed=scenario.seed,
        seconds=round(seconds, 3),
    )
