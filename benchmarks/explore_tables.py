"""The figures of `explore.py` as tables."""

from __future__ import annotations

import statistics

from explore_costs import CPUS
from explore_figures import Cost, Figures, Pair, Race
from frontrun_rival import FrontrunResult
from rich.table import Table


def in_seconds(seconds: float) -> str:
    return f"{seconds:.3g} s"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.{1 if seconds < 0.1 else 0}f} ms"


def as_share(ratio: float) -> str:
    return f"1/{1 / ratio:.0f}" if ratio < 1 else f"{ratio:.1f} times"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _counts(cost: Cost) -> tuple[str, str, str]:
    return f"{cost.states:,}", f"{cost.steps:,}", cost.stopped


def releases_table(figures: Figures) -> Table:
    """Ours, without reduction, and SPIN's."""
    table = _table("One release in every order", "", "search", "with preparation", "states", "steps", "inconclusive")
    for name, release in figures.releases.items():
        ours, bare, prepare_seconds = release.search, release.unreduced, release.prepare_seconds
        table.add_row(
            f"{name}, ours", in_seconds(ours.seconds), in_seconds(ours.seconds + prepare_seconds), *_counts(ours)
        )
        table.add_row(
            "  without reduction", in_seconds(bare.seconds), in_seconds(bare.seconds + prepare_seconds), *_counts(bare)
        )
        for pair in release.pairs:
            _add_pair(table, pair)
        table.add_section()
    return table


def _add_pair(table: Table, pair: Pair) -> None:
    spin = pair.spin
    least = "" if spin.verdict == "pass" else "less than "
    whole = in_seconds(spin.compile_seconds + spin.search_seconds)
    table.add_row("  SPIN", in_seconds(spin.search_seconds), whole, f"{spin.states:,}", "", spin.reason or "")
    table.add_row("    ours to that", least + as_share(pair.ratio), least + as_share(pair.prepared_ratio), "", "", "")


def costs_table(figures: Figures) -> Table:
    """States and milliseconds, a row for each number of CPUs."""
    sizes = sorted({size.split(" x ")[1] for size in figures.costs}, key=int)
    table = _table("Our search by CPUs and updates of each", "CPUs", *sizes)
    for cpus in CPUS:
        row = [figures.costs[f"{cpus} x {updates}"] for updates in sizes]
        cells = [f"{cost.states:,}  {_ms(cost.seconds)} {cost.stopped}".rstrip() for cost in row]
        table.add_row(str(cpus), *cells)
    return table


def spread_table(figures: Figures) -> Table:
    """Of many, the median and the slowest."""
    table = _table("One after another", "", "of", "median", "slowest", "which")
    firsts = {name: first.first_seconds for name, first in figures.firsts.items()}
    leasts = {name: first.least_seconds for name, first in figures.firsts.items()}
    titles = {"first violation": firsts, "least preempted violation": leasts, "making a model": figures.models}
    for title, found in titles.items():
        if found:
            slowest = max(found, key=found.__getitem__)
            times = in_seconds(statistics.median(found.values())), in_seconds(found[slowest])
            table.add_row(title, str(len(found)), *times, slowest)
    return table


def commands_table(figures: Figures) -> Table:
    """Whole processes."""
    table = _table("As a command, warm", "percpu-emu", "by the clock", "processor time")
    for name, command in figures.commands.items():
        table.add_row(f"explore {name}", in_seconds(command.seconds), in_seconds(command.cpu_seconds))
    return table


def frontrun_table(ours: Race, theirs: FrontrunResult) -> Table:
    """The counter race."""
    table = _table("A counter race of 2 x 3 updates", "", "all orders", "first bug", "schedules/s")
    every, chance = (
        f"{in_seconds(ours.seconds)}, {ours.states} states",
        f"{ours.random_schedules_per_second:,} by chance",
    )
    table.add_row("ours", every, in_seconds(ours.first_bug_seconds), chance)
    if theirs.seconds is not None and theirs.first_bug_seconds is not None:
        whole = "" if theirs.exhausted else ", stopped"
        every = f"{in_seconds(theirs.seconds)}, {theirs.schedules} schedules{whole}"
        name = f"frontrun {theirs.version}"
        table.add_row(name, every, in_seconds(theirs.first_bug_seconds), f"{theirs.schedules_per_second:,}")
    return table
