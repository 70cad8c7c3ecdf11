"""Expected figures against those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from percpu_emu.scenario.figure_table import COUNTED, HOW_MUCH
from percpu_emu.scenario.verdict import Check

if TYPE_CHECKING:
    from percpu_emu.scenario.load import Loaded
    from percpu_emu.scenario.schema import Expectation, Scenario


def expectation_checks(loaded: Loaded, figures: Mapping[str, Any]) -> list[Check]:
    """One check for each expectation; none where the command line changed what the figures depend on."""
    if loaded.is_resized:
        return []
    return [_check(expectation, loaded.scenario, figures) for expectation in loaded.scenario.expect]


def _check(expectation: Expectation, scenario: Scenario, figures: Mapping[str, Any]) -> Check:
    name, what = f"{expectation.figure} as expected", expectation.figure.rpartition(".")[2]
    found = _lookup(figures, expectation.figure)
    if found is None and what in COUNTED:
        found = 0
    if found is None:
        return Check(name, False, "the run gave no such figure")
    if expectation.equals is not None:
        return Check(name, found == expectation.equals, f"{found:g}, expected {expectation.equals:g}")
    if expectation.at_least is not None:
        enough, detail = found >= expectation.at_least, f"{found:g}, expected at least {expectation.at_least:g}"
        if not enough and what in HOW_MUCH:
            return Check(name, None, f"{detail}: the run did too little")
        return Check(name, enough, detail)
    return _growth_check(name, expectation, scenario, figures)


def _growth_check(name: str, expectation: Expectation, scenario: Scenario, figures: Mapping[str, Any]) -> Check:
    protocol, _, key = f"{expectation.figure}..".split(".")[:3]
    letters: dict[str, Any] = {str(name): letter.model_dump() for name, letter in scenario.letter.items()}
    theirs, ours = _growth(letters, protocol, key), _growth(figures, protocol, key)
    if theirs is None or ours is None:
        return Check(name, False, "the run gave no such figure")
    if theirs == 0:
        return Check(name, ours == 0, f"grew by {ours} kB, the letter's did not grow")
    off = ours / theirs - 1
    detail = f"grew by {ours} kB, the letter's by {theirs} kB: {off:+.1%}"
    return Check(name, abs(off) <= (expectation.growth_within or 0), detail)


def _growth(figures: Mapping[str, Any], protocol: str, key: str) -> float | None:
    before, after = (_lookup(figures, f"{protocol}.{when}.{key}") for when in ("before", "after"))
    return None if before is None or after is None else after - before


def _lookup(figures: Mapping[str, Any], path: str) -> float | None:
    value: Any = figures
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) else None
