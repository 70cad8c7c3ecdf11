"""How to search, from keywords or from the options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, get_args

from percpu_emu.api.errors import WrongOption
from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Options, Strategy
from percpu_emu.scenario.wording import allowed

_AS_THEY_ARE: Final[Mapping[str, str]] = MappingProxyType({})


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
    spelled: Mapping[str, str] = _AS_THEY_ARE,
) -> Options:
    """Options. Raises WrongOption for a value that one cannot have; `spelled`: how the user writes their names."""
    chosen: Strategy | None = next((known for known in get_args(Strategy) if known == strategy), None)
    if chosen is None:
        name = spelled.get("strategy", "strategy")
        raise WrongOption(f"{name} {strategy}: {allowed(strategy, get_args(Strategy))}")
    limits = {"schedules": schedules, "seconds": seconds, "megabytes": megabytes, "depth": depth}
    for name, limit in limits.items():
        if not limit > 0:
            raise WrongOption(f"{spelled.get(name, name)} {limit}: a limit is above 0")
    if preemptions is not None and preemptions < 0:
        raise WrongOption(f"{spelled.get('preemptions', 'preemptions')} {preemptions}: a limit of them is 0 or more")
    return Options(
        strategy=chosen,
        budget=Budget(states=schedules, seconds=seconds, megabytes=megabytes),
        preemptions=preemptions,
        schedules=schedules,
        depth=depth,
        seed=1 if seed is None else seed,
        reduce=reduce,
    )
