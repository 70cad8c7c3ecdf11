"""`percpu-emu footprint`: what dying cgroups cost, and a sweep of it as table, CSV file and picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from percpu_emu.cli.errors import MissingExtra, WrongArgument
from percpu_emu.cli.face import Face
from percpu_emu.cli.files import refuse_unwritable
from percpu_emu.report.footprint_report import csv_of, print_footprint, report_of
from percpu_emu.scenario.footprint import Plan, WrongPlan, kernel_named, protocols_named
from percpu_emu.scenario.here import COMMON, Here
from percpu_emu.scenario.sweep import parse_sweep
from percpu_emu.scenario.verdict import exit_code


@dataclass(frozen=True)
class Machine:
    """The numbers of the command line."""

    cpus: int
    nodes: int
    cgroups: int | None
    """None where the command line names no number."""
    lag: int


def footprint_and_report(
    kernel: str,
    machine: Machine,
    protocols: Sequence[str],
    face: Face,
    here: Here | None = None,
    *,
    sweep: str | None,
    plot: Path | None,
    csv: Path | None,
) -> int:
    """Count, and give the report; the exit code."""
    start = time.monotonic()
    refuse_unwritable({"--csv": csv})
    _refuse_plot(plot, sweep)
    try:
        plan = _plan(kernel, machine, here)
        names = protocols_named(protocols)
        report = report_of(plan, names, parse_sweep(sweep) if sweep else None, 0.0)
    except WrongPlan as error:
        raise WrongArgument(f"--{error}") from None
    if here is not None:
        report.figures["here"] = here.figures()
        report.notes += here.notes()
    report.seconds = round(time.monotonic() - start, 3)
    if csv is not None:
        csv.write_text(csv_of(report), encoding="utf-8")
    if plot is not None:
        from percpu_emu.report.footprint_plot import draw

        draw(report, plot)
        report.notes.append(f"the picture is in {plot}")
    face.give(report, lambda console: print_footprint(console, report))
    return exit_code(report.verdict)


def _plan(kernel: str, machine: Machine, here: Here | None) -> Plan:
    if here is not None:
        return here.plan(machine.cgroups, machine.lag)
    return Plan(kernel_named(kernel), machine.cpus, machine.nodes, machine.cgroups or COMMON, machine.lag)


def _refuse_plot(plot: Path | None, sweep: str | None) -> None:
    """Refuse a picture that cannot be drawn, before anything is counted."""
    if plot is None:
        return
    refuse_unwritable({"--plot": plot})
    if sweep is None:
        raise WrongArgument("--plot draws a sweep: add --sweep, such as --sweep cpus=8..512")
    if plot.suffix not in (".svg", ".png"):
        raise WrongArgument(f"--plot {plot}: the name ends in .svg or .png")
    try:
        import matplotlib as _  # noqa: F401
    except ModuleNotFoundError as error:
        install = "pip install 'percpu-emu[plot]', or pip install '.[plot]' in its folder"
        raise MissingExtra(f"--plot needs the package {error.name}, which is not installed: {install}") from error
