"""The checks of an account notice accounts that are wrong; what a sweep is; what `percpu_emu.footprint` gives."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, assert_type

import pytest

import percpu_emu
from percpu_emu.kernel.footprint import Footprint
from percpu_emu.scenario.footprint import Plan, checks_of, kernel_named, variations
from percpu_emu.scenario.sweep import parse_sweep

PLAN = Plan(kernel_named("6.1"), 4, 1, 200)
PROTOCOLS = ["original", "patched"]
TRUE_FOOTPRINT = Plan.footprint


def failed(plan: Plan) -> list[str]:
    return [check.name for check in checks_of(plan, PROTOCOLS) if check.ok is False]


def test_a_right_account_passes() -> None:
    assert failed(PLAN) == []


@pytest.mark.parametrize(
    ("protocol", "pages", "check"),
    [("original", -20, "the pages hold the areas"), ("patched", +200, "a release costs nothing")],
)
def test_a_wrong_account_fails(protocol: str, pages: int, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(plan: Plan, of: str) -> Footprint:
        found = TRUE_FOOTPRINT(plan, of)
        if of != protocol:
            return found
        after, settled = (replace(reading, pages=reading.pages + pages) for reading in (found.after, found.settled))
        return replace(found, after=after, settled=settled)

    monkeypatch.setattr(Plan, "footprint", wrong)
    assert check in failed(PLAN)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("cpus=8..64", (8, 16, 32, 64)),
        ("cpus=6..20", (6, 12, 20)),
        ("lag=0..8", (0, 1, 2, 4, 8)),
        ("nodes=1..10:4", (1, 5, 9, 10)),
        ("cgroups=5..5", (5,)),
    ],
)
def test_a_sweep_doubles_or_adds_and_has_both_ends(text: str, values: tuple[int, ...]) -> None:
    assert parse_sweep(text).values == values


def test_the_variations_leave_out_machines_that_cannot_be() -> None:
    names = [name for name, _ in variations(Plan(PLAN.kernel, 8192, 1, 1))]
    assert names == ["as asked", "nodes 2", "lag 256"]


def test_from_python_it_is_a_result() -> None:
    result = percpu_emu.footprint("6.1", cpus=4, cgroups=200, protocols=PROTOCOLS, sweep="cpus=4..8")
    assert_type(result, percpu_emu.Result)
    assert result.ok
    assert result.figures["original"]["grown_kb"] > 1.4 * result.figures["patched"]["grown_kb"]
    assert [row["cpus"] for row in result.figures["sweep"]] == [4, 8]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kernel": "nothing.toml"}, "nothing.toml: cannot be read"),
        ({"protocols": ["patch"]}, "protocol patch: allowed: original, patched, patch-2022"),
        ({"cpus": 0}, "cpus 0: 1 to 8192"),
        ({"cpus": 2, "nodes": 3}, "nodes 3: at most one for each of the 2 possible CPUs"),
        ({"cgroups": 2_000_000}, "cgroups 2000000: 1 to 1000000"),
        ({"lag": -1}, "lag -1: 0 to 1000000"),
        ({"sweep": "cpu=1..8"}, "did you mean cpus?"),
        ({"sweep": "cpus=8"}, "such as cpus=8..512"),
        ({"sweep": "cpus=8..4"}, "the last value is not below the first one"),
        ({"sweep": "cpus=8..16:0"}, "a step is above 0"),
        ({"sweep": "lag=0..100000:1"}, "1000 at most"),
    ],
)
def test_a_wrong_question_is_refused_with_what_is_allowed(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(percpu_emu.WrongInput, match=re.escape(said)):
        percpu_emu.footprint(**asked)
