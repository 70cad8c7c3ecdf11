"""Sweeps: one number of a plan goes through a range, `cpus=8..512`, and everything else stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from percpu_emu.scenario.footprint import LIMITS, Plan, WrongPlan
from percpu_emu.scenario.wording import allowed

MOST_POINTS: Final = 1000
_FORM: Final = re.compile(r"(?P<name>[^=]+)=(?P<start>\d+)\.\.(?P<end>\d+)(?::(?P<step>\d+))?")


@dataclass(frozen=True)
class Sweep:
    """What is swept, and its values."""

    name: str
    values: tuple[int, ...]
    text: str
    """As it was asked for: cpus=8..512."""

    def __str__(self) -> str:
        return self.text

    def plans(self, plan: Plan) -> Iterator[tuple[str, Plan]]:
        """The plan at every value. Raises WrongPlan for a machine that cannot be."""
        for value in self.values:
            yield f"{self.name} {value}", plan.with_number(self.name, value)


def parse_sweep(text: str) -> Sweep:
    """`cpus=8..512` in doublings, `cpus=8..512:8` in steps of 8; both ends are included. Raises WrongPlan."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise WrongPlan(f"sweep {text}: NAME=FIRST..LAST doubles, NAME=FIRST..LAST:STEP adds; such as cpus=8..512")
    name, start, end = match["name"], int(match["start"]), int(match["end"])
    if name not in LIMITS:
        raise WrongPlan(f"sweep {text}: {allowed(name, LIMITS)}")
    if start > end or (match["step"] is not None and int(match["step"]) == 0):
        raise WrongPlan(f"sweep {text}: the last value is not below the first one, and a step is above 0")
    values = _doubled(start, end) if match["step"] is None else range(start, end + 1, int(match["step"]))
    if len(values) > MOST_POINTS:
        raise WrongPlan(f"sweep {text}: {len(values)} values; {MOST_POINTS} at most")
    return Sweep(name, tuple(dict.fromkeys([*values, end])), text)


def _doubled(start: int, end: int) -> list[int]:
    values = [start]
    while (more := max(2 * values[-1], 1)) <= end:
        values.append(more)
    return values
