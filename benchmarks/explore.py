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
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import frontrun_rival
import spin_rival
import typer
from frontrun_rival import FrontrunResult
from rich.console import Console
from rich.table import Table

from percpu_emu.explore.counterexample import judges_of
from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.random_search import random_schedules
from percpu_emu.explore.search import Budget, Found, Search, with_room
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, ledger_add, ledger_commit, read_once, write_once
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.scenario.load import load, scenario_names
from percpu_emu.scenario.settings import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spin_rival import SpinResult

    from percpu_emu.explore.subject import Subject

SPIN_SHARE: Final = 1 / 50  # of SPIN's search, for release-3x3
LARGE_LIMIT: Final = 5.0  # s, for release-4x4
FIRST_LIMIT: Final = 0.2  # s, to a counterexample
COMMAND_LIMIT: Final = 1.5  # s, a whole process

SEARCHES: Final = 9
PAIRS: Final = 3
SPIN_SECONDS: Final = 60.0
SPIN_MEGABYTES: Final = 8192
UNREDUCED: Final = Budget(seconds=20, megabytes=1024)
UNREDUCED_QUICK: Final = Budget(seconds=3, megabytes=1024)
CPUS: Final = (2, 3, 4, 5)
UPDATES: Final = (1, 2, 3, 4, 5)
COMMANDS: Final = ("release-3x3", "flush-then-swap")
COMMAND_RUNS: Final = 5
SCHEDULES: Final = 300_000
RELEASES: Final = {"release-3x3": (3, 3), "release-4x4": (4, 4)}


class Part(StrEnum):
    """What can be measured on its own."""

    SEARCHES = "searches"
    COSTS = "costs"
    COUNTEREXAMPLES = "counterexamples"
    COMMANDS = "commands"
    MODELS = "models"
    FRONTRUN = "frontrun"


@dataclass(frozen=True)
class Cost:
    """One search. `stopped` is why it is inconclusive, "" where it is not."""

    seconds: float
    states: int
    steps: int
    rounds: int
    stopped: str = ""


@dataclass(frozen=True)
class Pair:
    """Ours and SPIN's of one release, one after the other. Ratios are ours by SPIN's; at most that if SPIN stopped."""

    seconds: float
    prepared_seconds: float
    spin: SpinResult
    ratio: float
    prepared_ratio: float


@dataclass(frozen=True)
class Release:
    """What a release costs. `prepare_seconds` are the model and the search's tables, before its clock starts."""

    prepare_seconds: float
    search: Cost
    unreduced: Cost
    pairs: list[Pair]

    @property
    def ratio(self) -> float | None:
        """The median of the pairs."""
        return statistics.median(pair.ratio for pair in self.pairs) if self.pairs else None


@dataclass(frozen=True)
class First:
    """Of a broken protocol: seconds to the first violation, and to the one with the fewest preemptions."""

    first_seconds: float
    least_seconds: float


@dataclass(frozen=True)
class Command:
    """A whole process: by the clock, and its processor time, which others on the machine disturb less."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Race:
    """The counter race of `frontrun_rival`, by us: every order, the first bug, and by chance."""

    seconds: float
    states: int
    first_bug_seconds: float
    random_schedules_per_second: int


@dataclass
class Check:
    """A limit, and whether it is kept; None where there was nothing to measure."""

    name: str
    ok: bool | None
    detail: str


@dataclass
class Figures:
    """What `--json` prints. Times are seconds."""

    load_average: float
    releases: dict[str, Release] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    """By "CPUs x updates"."""
    firsts: dict[str, First] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    race: Race | None = None
    frontrun: FrontrunResult | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)


# --- ours


def search_of(subject: Subject, model: Model, *, reduce: bool = True, budget: Budget | None = None) -> Search:
    """The search as `percpu-emu explore` makes it."""
    reduce = reduce and subject.invariant is None
    return Search(model, reduce, budget or Budget(), judges=judges_of(subject, model))


def searched(subject: Subject, *, reduce: bool = True, budget: Budget | None = None) -> Cost:
    """One whole search in a model of its own: what it took, without the making of the model."""

    def search(model: Model) -> Cost:
        one = search_of(subject, model, reduce=reduce, budget=budget)
        found = one.run()
        stopped = one.stopped or (f"violates {found[0].check}" if found else "")
        return Cost(one.seconds, one.states, one.steps, one.rounds, stopped)

    cost: Cost = with_room(subject.setting, subject.checks, search)
    return cost


def median_cost(costs: list[Cost]) -> Cost:
    """The one whose seconds are the median; the rest is the same in all of them."""
    return sorted(costs, key=lambda cost: cost.seconds)[len(costs) // 2]


def timed(job: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def prepare(subject: Subject) -> Search:
    """Everything that comes before a search."""
    return search_of(subject, Model(subject.setting, subject.checks))


def release_of(name: str, *, quick: bool, spin: bool) -> Release:
    """One release, ours and SPIN's by turns."""
    subject = subject_of(load(name))
    searched(subject)  # warm: compiled code loaded, memory there
    pairs, costs, prepares = [], [], []
    large = RELEASES[name] != min(RELEASES.values())
    for _ in range(1 if large else PAIRS):
        mine = [searched(subject) for _ in range(SEARCHES)]
        prepared = [timed(lambda: prepare(subject)) for _ in range(SEARCHES)]
        costs += mine
        prepares += prepared
        if spin and not (quick and large):
            pairs.append(pair_of(name, median_cost(mine).seconds, statistics.median(prepared)))
    unreduced = searched(subject, reduce=False, budget=UNREDUCED_QUICK if quick else UNREDUCED)
    return Release(statistics.median(prepares), median_cost(costs), unreduced, pairs)


def pair_of(name: str, seconds: float, prepare_seconds: float) -> Pair:
    """SPIN, right after ours."""
    cpus, updates = RELEASES[name]
    found = spin_rival.verify(spin_rival.RELEASE, {"CPUS": cpus, "UPDATES": updates}, SPIN_SECONDS, SPIN_MEGABYTES)
    prepared = prepare_seconds + seconds
    theirs = found.compile_seconds + found.search_seconds
    return Pair(seconds, prepared, found, seconds / found.search_seconds, prepared / theirs)


def costs_by_size() -> Iterator[tuple[str, Cost]]:
    """The release by CPUs and updates."""
    searched(subject_of(load("release-3x3")))  # warm
    for cpus in CPUS:
        loaded = load("release-3x3", {"machine.cpus": cpus})
        for updates in UPDATES:
            subject = subject_of(loaded, turns=updates)
            yield f"{cpus} x {updates}", median_cost([searched(subject) for _ in range(3)])


def broken_protocols() -> list[Subject]:
    """Those that ship and have to violate a check."""
    return [subject for subject in explorable() if subject.expect is not None]


def explorable() -> Iterator[Subject]:
    """Every scenario that has something to explore."""
    for name in scenario_names():
        loaded = load(name)
        if loaded.scenario.explore is not None:
            yield subject_of(loaded)


def first_of(subject: Subject) -> First:
    """Seconds to a counterexample: medians of three."""

    def seconds(find: Callable[[Search], list[Found] | Found | None]) -> float:
        def search(model: Model) -> float:
            one = search_of(subject, model)
            if not find(one):
                raise RuntimeError(f"{subject.name}: nothing found")
            return one.seconds

        times: list[float] = [with_room(subject.setting, subject.checks, search) for _ in range(3)]
        return statistics.median(times)

    return First(seconds(Search.run), seconds(Search.least_preempted))


def command_of(name: str, runs: int) -> Command:
    """`percpu-emu explore NAME --json`, after a first time that does not count.

    Python's own bytecode is kept, as it is where the package is installed, whatever PYTHONDONTWRITEBYTECODE says here.
    """
    with tempfile.TemporaryDirectory(prefix="explore-") as folder:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        times = [_process(["explore", name, "--json"], environment) for _ in range(runs + 1)][1:]
    return Command(statistics.median(t.seconds for t in times), statistics.median(t.cpu_seconds for t in times))


def _process(arguments: list[str], environment: dict[str, str]) -> Command:
    call = [sys.executable, "-m", "percpu_emu", *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1, 4):
        raise RuntimeError(f"{' '.join(call)}: {done.stderr}")
    return Command(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def model_seconds(subject: Subject) -> float:
    """Of making its model, the median of three. That it may have to be made again with more room is not counted."""
    return statistics.median(timed(lambda: Model(subject.setting, subject.checks)) for _ in range(3))


# --- the counter race that frontrun explores, with our ledger


def increments() -> Program[None]:
    for _ in range(3):  # frontrun_rival.UPDATES; programs are compiled on their own, and see no imports
        yield ledger_add(STATIC, 1)
        x = yield read_once(STATIC)
        yield write_once(STATIC, x + 1)
        yield ledger_commit()


def counter_total(counter: int) -> Program[int]:
    return (yield read_once(counter))


def race() -> Race:
    """By us. A schedule by chance ends at its first wrong count, as it does at frontrun."""
    tasks = tuple(ContextSpec(f"task {n}", increments, cpu=n) for n in range(frontrun_rival.THREADS))
    setting = Setting(len(tasks), tasks)
    model = Model(setting, Checks(total=counter_total))
    searches, firsts = [Search(model) for _ in range(SEARCHES)], [Search(model) for _ in range(SEARCHES)]
    for whole, first in zip(searches, firsts, strict=True):
        assert whole.run(every=True)
        assert first.run()
    random_schedules(model, schedules=1, seconds=60, seed=0, threads=1)
    walked = random_schedules(model, schedules=SCHEDULES, seconds=60, seed=1, threads=1)
    return Race(
        statistics.median(search.seconds for search in searches),
        searches[0].states,
        statistics.median(search.seconds for search in firsts),
        round(walked.schedules / walked.seconds),
    )


# --- all of it


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
            yield _at_most(f"{name}: ours to SPIN's search", release.ratio, SPIN_SHARE, _share)
        else:
            yield _at_most(f"{name}: our search", release.search.seconds, LARGE_LIMIT, _s)
    if figures.firsts:
        slowest = max(max(first.first_seconds, first.least_seconds) for first in figures.firsts.values())
        yield _at_most("slowest counterexample", slowest, FIRST_LIMIT, _s)
    for name, command in figures.commands.items():
        yield _at_most(f"percpu-emu explore {name}", command.seconds, COMMAND_LIMIT, _s)


def _at_most(name: str, found: float | None, limit: float, shown: Callable[[float], str]) -> Check:
    if found is None:
        return Check(name, ok=None, detail=f"at most {shown(limit)}; nothing to compare with")
    return Check(name, found <= limit, f"{shown(found)}, at most {shown(limit)}")


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.{1 if seconds < 0.1 else 0}f} ms"


def _share(ratio: float) -> str:
    return f"1/{1 / ratio:.0f}" if ratio < 1 else f"{ratio:.1f} times"


# --- showing


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
        table.add_row(f"{name}, ours", _s(ours.seconds), _s(ours.seconds + prepare_seconds), *_counts(ours))
        table.add_row("  without reduction", _s(bare.seconds), _s(bare.seconds + prepare_seconds), *_counts(bare))
        for pair in release.pairs:
            _add_pair(table, pair)
        table.add_section()
    return table


def _add_pair(table: Table, pair: Pair) -> None:
    spin = pair.spin
    least = "" if spin.verdict == "pass" else "less than "
    whole = _s(spin.compile_seconds + spin.search_seconds)
    table.add_row("  SPIN", _s(spin.search_seconds), whole, f"{spin.states:,}", "", spin.reason or "")
    table.add_row("    ours to that", least + _share(pair.ratio), least + _share(pair.prepared_ratio), "", "", "")


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
            times = _s(statistics.median(found.values())), _s(found[slowest])
            table.add_row(title, str(len(found)), *times, slowest)
    return table


def commands_table(figures: Figures) -> Table:
    """Whole processes."""
    table = _table("As a command, warm", "percpu-emu", "by the clock", "processor time")
    for name, command in figures.commands.items():
        table.add_row(f"explore {name}", _s(command.seconds), _s(command.cpu_seconds))
    return table


def frontrun_table(ours: Race, theirs: FrontrunResult) -> Table:
    """The counter race."""
    table = _table("A counter race of 2 x 3 updates", "", "all orders", "first bug", "schedules/s")
    every, chance = f"{_s(ours.seconds)}, {ours.states} states", f"{ours.random_schedules_per_second:,} by chance"
    table.add_row("ours", every, _s(ours.first_bug_seconds), chance)
    if theirs.seconds is not None and theirs.first_bug_seconds is not None:
        whole = "" if theirs.exhausted else ", stopped"
        every = f"{_s(theirs.seconds)}, {theirs.schedules} schedules{whole}"
        name = f"frontrun {theirs.version}"
        table.add_row(name, every, _s(theirs.first_bug_seconds), f"{theirs.schedules_per_second:,}")
    return table


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
