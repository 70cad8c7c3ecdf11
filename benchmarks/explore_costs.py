"""What a search costs: beside SPIN, by size, to a first counterexample, as a whole command."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Final

import frontrun_rival
import spin_rival
from explore_figures import Command, Cost, First, Pair, Race, Release

from percpu_emu.explore.counterexample import judges_of
from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.random_search import random_schedules
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Budget, Found, Search
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, ledger_add, ledger_commit, read_once, write_once
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from percpu_emu.explore.subject import Subject

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
    for name in shipped():
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
