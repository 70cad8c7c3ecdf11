"""What `explore.py` measures: the shapes of its figures."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frontrun_rival import FrontrunResult

if TYPE_CHECKING:
    from spin_rival import SpinResult


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
