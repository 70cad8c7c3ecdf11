"""What dying cgroups cost: the report object, the tables of the terminal, and the rows of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from percpu_emu.report.ending import print_notes, print_verdict
from percpu_emu.report.result import Report, reported
from percpu_emu.report.tables import checks_table
from percpu_emu.scenario.footprint import LIMITS, Plan, checks_of, figures_of, notes_of, rows_of, variations
from percpu_emu.scenario.verdict import verdict_of

if TYPE_CHECKING:
    from rich.console import Console

    from percpu_emu.scenario.sweep import Sweep

MB: Final = 1024
_LINES: Final = {
    "percpu_kb_per_dying_cgroup": "Percpu, kB per dying cgroup",
    "slab_kb_per_dying_cgroup": "Slab, kB per dying cgroup",
    "kb_per_dying_cgroup": "both, kB per dying cgroup",
    "grown_kb": "both, MB in all",
}


def report_of(plan: Plan, protocols: Sequence[str], sweep: Sweep | None, seconds: float) -> Report:
    """The report of a plan, or of a sweep over it. Raises WrongPlan for a machine of the sweep that cannot be."""
    figures = figures_of(plan, protocols)
    name, plans = ("sweep", sweep.plans(plan)) if sweep else ("depends_on", variations(plan))
    figures[name] = rows_of(list(plans), protocols)
    checks = checks_of(plan, protocols)
    return Report(
        command="footprint",
        subject=str(plan),
        verdict=verdict_of(checks, None),
        scope=scope_of(plan, protocols, sweep),
        checks=reported(checks),
        figures=figures,
        notes=notes_of(plan, protocols),
        seconds=round(seconds, 3),
    )


def scope_of(plan: Plan, protocols: Sequence[str], sweep: Sweep | None) -> dict[str, Any]:
    """What was counted, and what no figure has in it."""
    return {
        "engine": "accounting",
        "kernel": plan.kernel.name,
        "protocols": list(protocols),
        **{key: getattr(plan, key) for key in LIMITS},
        "sweep": str(sweep) if sweep else None,
        "counted": "per-CPU areas and slab objects of each cgroup, by the two allocators' rules",
        "not_counted": "pages that the cgroups are charged with, slabs of those, and what the rest of the kernel holds",
    }


def print_footprint(console: Console, report: Report) -> None:
    """Everything, for a person."""
    console.print(report.subject, markup=False, highlight=False)
    console.print()
    console.print(_costs_table(report))
    for name, title in (("depends_on", "What it depends on: MB in all"), ("sweep", "MB in all")):
        if name in report.figures:
            console.print()
            console.print(_rows_table(title, report.figures[name], report.scope["protocols"]))
    console.print()
    console.print(checks_table(report))
    print_notes(console, report)
    print_verdict(console, report)


def csv_of(report: Report) -> str:
    """The rows of the sweep, or of what the cost depends on, with the kernel before them; all sizes in kB."""
    rows: list[Mapping[str, Any]] = report.figures.get("sweep") or report.figures["depends_on"]
    file = io.StringIO()
    writer = csv.DictWriter(file, ["kernel", *rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"kernel": report.scope["kernel"], **row} for row in rows)
    return file.getvalue()


def _costs_table(report: Report) -> Table:
    """A column for each protocol."""
    protocols = report.scope["protocols"]
    table = _table("", *protocols)
    for key, label in _LINES.items():
        values = [report.figures[protocol][key] for protocol in protocols]
        table.add_row(label, *[f"{value / MB:.1f}" if key == "grown_kb" else f"{value:.1f}" for value in values])
    return table


def _rows_table(title: str, rows: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> Table:
    table = _table(title, *protocols)
    for row in rows:
        table.add_row(row["name"], *[f"{row[f'{protocol}_kb'] / MB:.1f}" for protocol in protocols])
    return table


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
