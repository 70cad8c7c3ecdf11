"""How to search, from the words of the command line."""

from __future__ import annotations

from typing import Any, get_args

from percpu_emu.cli.errors import WrongArgument
from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Options, Strategy
from percpu_emu.scenario.wording import allowed


def search_options(
    strategy: str,
    preemptions: int | None,
    depth: int,
    schedules: int,
    seconds: float,
    megabytes: int,
    seed: int | None,
    *,
    reduce: bool,
) -> Options:
    """Options. Raises WrongArgument for a strategy that there is not."""
    if strategy not in get_args(Strategy):
        raise WrongArgument(f"--strategy {strategy}: {allowed(strategy, get_args(Strategy))}")
    for name, value in (("--max-schedules", schedules), ("--max-seconds", seconds), ("--max-megabytes", megabytes)):
        if value <= 0:
            raise WrongArgument(f"{name} {value}: a limit is above 0")
    chosen: Any = strategy
    return Options(
        strategy=chosen,
        budget=Budget(states=schedules, seconds=seconds, megabytes=megabytes),
        preemptions=preemptions,
        schedules=schedules,
        depth=depth,
        seed=1 if seed is None else seed,
        reduce=reduce,
    )
