"""The exhaustive search beside SPIN, and what it costs: by size, to a first counterexample, as a whole command.

    python benchmarks/explore.py [--json] [--quick] [--only PART]... [--frontrun PATH]

Each release is searched by us and by SPIN (`spin_rival`, our own Promela models of the same protocol), turn and turn
about, and what counts is the ratio of a pair. "Prepared" is what has to be done once for a size: our bytecode and what
leads where, SPIN's verifier in C. Seconds are by the clock, medians of several, in a process in which everything was
compiled before. The steps of the two are not the same: ours has interrupts, ledgers, references and a second counter.

Exit codes: 0 all limits are kept, 1 one is not, 2 wrong options, 3 they are, but there is no SPIN to compare with.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import frontrun_rival
import spin_rival
import typer
from explore_costs import (
    COMMAND_RUNS,
    COMMANDS,
    RELEASES,
    SPIN_SECONDS,
    broken_protocols,
    command_of,
    costs_by_size,
    explorable,
    first_of,
    model_seconds,
    race,
    release_of,
)
from explore_figures import Check, Figures
from explore_tables import (
    as_share,
    commands_table,
    costs_table,
    frontrun_table,
    in_seconds,
    releases_table,
    spread_table,
)
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


SPIN_SHARE: Final = 1 / 50  # of SPIN's search, for release-3x3
LARGE_LIMIT: Final = 5.0  # s, for release-4x4
FIRST_LIMIT: Final = 0.2  # s, to a counterexample
COMMAND_LIMIT: Final = 1.5  # s, a whole process


class Part(StrEnum):
    """What can be measured on its own."""

    SEARCHES = "searches"
    COSTS = "costs"
    COUNTEREXAMPLES = "counterexamples"
    COMMANDS = "commands"
    MODELS = "models"
    FRONTRUN = "frontrun"


def measure(parts: list[Part], frontrun: str | None, *, quick: bool) -> Figures:
    """Measure these parts."""
    figures = Figures(round(os.getloadavg()[0], 2))
    if Part.SEARCHES in parts:
        _measure_releases(figures, quick=quick)
    if Part.COSTS in parts:
        figures.costs = dict(costs_by_size())
    if Part.COUNTEREXAMPLES in parts:
        figures.firsts = {subject.name: first_of(subject) for subject in broken_protocols()}
    if Part.COMMANDS in parts:
        figures.commands = {name: command_of(name, 3 if quick else COMMAND_RUNS) for name in COMMANDS}
    if Part.MODELS in parts:
        figures.models = {subject.name: model_seconds(subject) for subject in explorable()}
    if Part.FRONTRUN in parts:
        figures.race = race()
        figures.frontrun = frontrun_rival.explore_counter(frontrun)
        if figures.frontrun.missing:
            figures.skipped["frontrun"] = figures.frontrun.missing
    figures.checks = list(checks_of(figures))
    return figures


def _measure_releases(figures: Figures, *, quick: bool) -> None:
    spin = spin_rival.spin_available()
    if not spin:
        figures.skipped["SPIN"] = "`spin` and `gcc` are not both installed"
    elif quick:
        figures.skipped["SPIN on release-4x4"] = f"it takes up to {SPIN_SECONDS:g} s: --quick"
    figures.releases = {name: release_of(name, quick=quick, spin=spin) for name in RELEASES}


def checks_of(figures: Figures) -> Iterator[Check]:
    """The limits of what was measured, and that nothing was found where nothing is."""
    wrong = [name for name, release in figures.releases.items() if release.search.stopped]
    wrong += [size for size, cost in figures.costs.items() if cost.stopped]
    if figures.releases or figures.costs:
        yield Check("every release is proved", not wrong, ", ".join(wrong) or "in every size")
    for name, release in figures.releases.items():
        if RELEASES[name] == min(RELEASES.values()):
            yield _at_most(f"{name}: ours to SPIN's search", release.ratio, SPIN_SHARE, as_share)
        else:
            yield _at_most(f"{name}: our search", release.search.seconds, LARGE_LIMIT, in_seconds)
    if figures.firsts:
        slowest = max(max(first.first_seconds, first.least_seconds) for first in figures.firsts.values())
        yield _at_most("slowest counterexample", slowest, FIRST_LIMIT, in_seconds)
    for name, command in figures.commands.items():
        yield _at_most(f"percpu-emu explore {name}", command.seconds, COMMAND_LIMIT, in_seconds)


def _at_most(name: str, found: float | None, limit: float, shown: Callable[[float], str]) -> Check:
    if found is None:
        return Check(name, ok=None, detail=f"at most {shown(limit)}; nothing to compare with")
    return Check(name, found <= limit, f"{shown(found)}, at most {shown(limit)}")


def show(figures: Figures) -> None:
    """The tables, what was skipped, and whether the limits are kept."""
    console = Console(width=max(Console().width, 120))
    if figures.releases:
        console.print(releases_table(figures))
    if figures.costs:
        console.print(costs_table(figures))
    if figures.firsts or figures.models:
        console.print(spread_table(figures))
    if figures.commands:
        console.print(commands_table(figures))
    if figures.race and figures.frontrun:
        console.print(frontrun_table(figures.race, figures.frontrun))
    console.print(f"{figures.load_average} processes were running on {os.cpu_count()} cores when it began")
    for name, reason in figures.skipped.items():
        console.print(f"skipped: {name}: {reason}", style="yellow", markup=False)
    for check in figures.checks:
        word, style = {True: ("ok", "green"), False: ("MISSED", "red"), None: ("open", "yellow")}[check.ok]
        console.print(f"{word}: {check.name}: {check.detail}", style=style, markup=False)


def exit_code(figures: Figures) -> int:
    """1 if a limit is missed, else 3 if one was not measured."""
    if any(check.ok is False for check in figures.checks):
        return 1
    return 3 if any(check.ok is None for check in figures.checks) else 0


def main(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Without what takes long: SPIN on release-4x4.")] = False,
    only: Annotated[list[Part] | None, typer.Option(help="Measure this part; may be repeated.")] = None,
    frontrun: Annotated[str | None, typer.Option(metavar="PATH", help="Its command, if not on the PATH.")] = None,
) -> None:
    """Measure the exhaustive search beside SPIN, and what it costs."""
    figures = measure(only or list(Part), frontrun, quick=quick)
    if as_json:
        found: dict[str, Any] = asdict(figures)
        print(json.dumps(found, indent=2))
    else:
        show(figures)
    raise typer.Exit(exit_code(figures))


if __name__ == "__main__":
    typer.run(main)
