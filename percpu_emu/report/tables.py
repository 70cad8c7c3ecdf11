"""Tables of a run's figures for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

from percpu_emu.scenario.verdict import RESULTS

if TYPE_CHECKING:
    from percpu_emu.report.result import Report, ReportedCheck
    from percpu_emu.scenario.schema import Letter

_STYLES: Final = {True: "green", False: "bold red", None: "yellow"}
_TIMES: Final = ("seconds", "_per_s", "_us", "_us_max")
"""How the names of figures end that time decides."""
VERDICT_STYLES: Final = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
READINGS = ("before", "after", "end")
_LABELS = {
    "nr_dying_descendants": "nr_dying_descendants",
    "slab_kb": "Slab, kB",
    "percpu_kb": "Percpu, kB",
    "os_percpu_kb": "held by the OS, kB",
    "kb_per_dying_cgroup": "kB per dying cgroup",
}


def comparison_table(figures: Mapping[str, Any], letter: Mapping[Any, Letter]) -> Table:
    """Protocols side by side, each beside what the cover letter says; a row for each reading of each figure."""
    table = Table(title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("")
    for protocol in figures:
        table.add_column(protocol, justify="right")
        if protocol in letter:
            table.add_column("letter", justify="right", style="dim")
    for reading in ("before", "after"):
        for key in ("nr_dying_descendants", "slab_kb", "percpu_kb", "os_percpu_kb"):
            cells = [f"{reading}: {_LABELS[key]}"]
            for protocol, of_protocol in figures.items():
                cells.append(number_text(of_protocol.get(reading, {}).get(key)))
                if protocol in letter:
                    cells.append(number_text(getattr(getattr(letter[protocol], reading), key, None)))
            table.add_row(*cells)
        table.add_section()
    table.add_row(_LABELS["kb_per_dying_cgroup"], *_costs(figures, letter))
    return table


def _costs(figures: Mapping[str, Any], letter: Mapping[Any, Letter]) -> list[str]:
    cells = []
    for protocol, of_protocol in figures.items():
        cells.append(number_text(of_protocol.get("kb_per_dying_cgroup")))
        if protocol in letter:
            cells.append(number_text(_letters_cost(letter[protocol])))
    return cells


def _letters_cost(letter: Letter) -> float | None:
    grown = letter.after.slab_kb + letter.after.percpu_kb - letter.before.slab_kb - letter.before.percpu_kb
    dying = letter.after.nr_dying_descendants - letter.before.nr_dying_descendants
    return grown / dying if dying else None


def readings_table(figures: Mapping[str, Any]) -> Table | None:
    """What was read on the way, a column for each reading; None where nothing was."""
    readings = [name for name in READINGS if name in figures]
    if not readings:
        return None
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("")
    for name in readings:
        table.add_column(name, justify="right")
    for key in figures[readings[0]]:
        table.add_row(_LABELS[key], *[number_text(figures[name][key]) for name in readings])
    return table


def counts_table(figures: Mapping[str, Any]) -> Table:
    """The figures that were counted."""
    table = Table(show_edge=False, pad_edge=False, show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    for key, value in figures.items():
        if not isinstance(value, dict):
            table.add_row(key.replace("_", " "), number_text(value))
    return table


def outcomes_table(outcomes: list[dict[str, Any]]) -> Table:
    """The outcomes of rounds: how often, whether they are allowed, and why."""
    table = Table(show_edge=False, pad_edge=False)
    for name in ("result", "samples", "share"):
        table.add_column(name, justify="right")
    table.add_column("expect")
    table.add_column("how it comes about", overflow="fold")
    for row in outcomes:
        wrong = row["expect"] == "forbidden" and row["samples"]
        expect = f"[bold red]{row['expect']}[/]" if wrong else row["expect"]
        cells = (
            escape(row["result"]),
            number_text(row["samples"]),
            f"{row['share']:.2%}",
            expect,
            escape(row["explain"]),
        )
        table.add_row(*cells)
    return table


def checks_table(report: Report) -> Table:
    """Every check with its result and the reason; checks that are not judged for the same reason share a line."""
    table = Table(show_edge=False, pad_edge=False, show_header=False)
    table.add_column("")
    table.add_column("")
    table.add_column("", overflow="fold")
    rows: dict[str | int, list[ReportedCheck]] = {}
    for number, check in enumerate(report.checks):
        rows.setdefault(check.detail if check.ok is None else number, []).append(check)
    for checks in rows.values():
        names = ", ".join(check.name for check in checks)
        ok = checks[0].ok
        table.add_row(f"[{_STYLES[ok]}]{RESULTS[ok]}[/]", escape(names), escape(checks[0].detail))
    return table


def differences_table(differences: Mapping[str, Mapping[str, Any]], most: int | None = None) -> Table:
    """What differs between two reports, the first `most` of it: times, which always differ, come last."""
    table = Table(show_edge=False, pad_edge=False)
    with_ratio = any("ratio" in row for row in differences.values())
    for column in ("", "before", "after", *(["ratio"] if with_ratio else [])):
        table.add_column(column, justify="right" if column else "left", overflow="fold")
    for name in sorted(differences, key=_is_time)[:most]:
        row = differences[name]
        ratio = "" if row.get("ratio") is None else f"x {row['ratio']:g}"
        table.add_row(
            *map(escape, (name, _value(row["before"]), _value(row["after"]))), *([ratio] if with_ratio else [])
        )
    return table


def _is_time(name: str) -> bool:
    return name.endswith(_TIMES)


def _value(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value) if isinstance(value, int) else f"{value:g}"
    return "-" if value is None else str(value)


def number_text(value: float | None) -> str:
    """A number with its thousands apart, `-` for none."""
    if value is None:
        return "-"
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:,.1f}".replace(",", " ")
