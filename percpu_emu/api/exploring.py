"""`percpu_emu.explore`: every interleaving of a small scenario, or a part of them."""

from __future__ import annotations

from percpu_emu.api.calls import call
from percpu_emu.api.limits import DEPTH, MEGABYTES, SCHEDULES, SECONDS
from percpu_emu.api.options import search_options
from percpu_emu.api.result import Result, result_of
from percpu_emu.api.scenarios import Scenario, loaded
from percpu_emu.explore import strategies
from percpu_emu.explore.strategies import Strategy
from percpu_emu.report.exploration_report import report_of
from percpu_emu.scenario.subjects import subject_of


def explore(
    scenario: Scenario,
    *,
    cpus: int | None = None,
    turns: int | None = None,
    strategy: Strategy = "exhaustive",
    preemptions: int | None = None,
    depth: int = DEPTH,
    schedules: int = SCHEDULES,
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
    reduce: bool = True,
    seed: int | None = None,
) -> Result:
    """Explore a scenario as `percpu-emu explore` does; print nothing.

    Args:
        scenario: The name of one that ships, the path of a file, or what `@scenario` declares.
        cpus: Possible CPUs, instead of the scenario's.
        turns: Turns of every task that has more than one.
        strategy: "exhaustive", "preemptions", "pct" or "random".
        preemptions: For "preemptions": how many at most.
        depth: For "pct": orderings that have to come together.
        schedules: Limit of schedules for "pct" and "random", of states for the others.
        seconds: Time limit. A limit that is reached makes the verdict inconclusive.
        megabytes: Memory limit.
        reduce: Whether to leave out orders of independent steps.
        seed: Seed of all random choices.

    Raises:
        WrongInput: The scenario, one of its programs or an option is wrong.
        WrongEnvironment: The operating system refuses what is needed.
    """
    with call():
        options = search_options(strategy, preemptions, depth, schedules, seconds, megabytes, seed, reduce=reduce)
        checked = loaded(scenario, {"machine.cpus": cpus, "seed": seed})
        explored = strategies.explore(subject_of(checked, turns), options)
        return result_of(report_of(explored, "explore", checked.path), explored.counterexample)
