"""Every lesson is whole, and what it claims is so."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.machine import EventStream
from percpu_emu.scenario.dispatch import run_loaded
from percpu_emu.scenario.exploration import checks_of, verdict
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.web.lessons import Claim, ExploreClaim, RunClaim, lesson_json, lessons, parse_lesson
from percpu_emu.web.levels import levels

pytestmark = pytest.mark.timeout(240)  # the first run compiles programs

CLAIMS = {
    f"{lesson.number}-{claim.kind}-{claim.scenario}-{number}": claim
    for lesson in lessons()
    for number, claim in enumerate(lesson.claims)
}


def wrong(claim: Claim) -> str:
    """What is not as a claim says; empty if it is."""
    return _explored(claim) if isinstance(claim, ExploreClaim) else _ran(claim)


def _explored(claim: ExploreClaim) -> str:
    explored = explore(subject_of(load(claim.scenario)), Options(budget=Budget(seconds=30)))
    example = explored.counterexample
    found = {
        "verdict": verdict(explored, checks_of(explored)),
        "check": example.check if example else None,
        "preemptions": example.preemptions if example else None,
    }
    said = {"verdict": claim.verdict, "check": claim.check, "preemptions": claim.preemptions}
    return ", ".join(f"{key} is {found[key]}" for key, value in said.items() if value not in (None, found[key]))


def _ran(claim: RunClaim) -> str:
    result = run_loaded(load(claim.scenario, claim.overrides), EventStream())
    problems = [] if result.verdict == claim.verdict else [f"verdict is {result.verdict}"]
    problems += [f"{k} is {_at(result.figures, k)}" for k, v in claim.at_least.items() if _at(result.figures, k) < v]
    problems += [f"{a} <= {b}" for a, b in claim.more if _at(result.figures, a) <= _at(result.figures, b)]
    return ", ".join(problems)


def _at(figures: Any, path: str) -> float:
    for key in path.split("."):
        figures = figures[key]
    return float(figures)


@pytest.mark.parametrize("name", CLAIMS)
def test_what_a_lesson_claims_is_so(name: str) -> None:
    assert wrong(CLAIMS[name]) == ""


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (ExploreClaim(kind="explore", scenario="one-word", verdict="pass"), "verdict is fail"),
        (ExploreClaim(kind="explore", scenario="one-word", verdict="fail", check="leak"), "check is lost-count"),
        (ExploreClaim(kind="explore", scenario="one-word", verdict="fail", preemptions=0), "preemptions is 1"),
        (RunClaim(kind="run", scenario="playground", overrides={"seconds": 0.2}, verdict="fail"), "verdict is pass"),
        (
            RunClaim(
                kind="run",
                scenario="playground",
                overrides={"seconds": 0.2},
                verdict="pass",
                at_least={"patched.releases": 1},
                more=[("patched.releases", "patched.updates")],
            ),
            "patched.releases is 0.0, patched.releases <= patched.updates",
        ),
    ],
)
def test_a_claim_that_is_not_so_is_found(claim: Claim, said: str) -> None:
    assert wrong(claim) == said


def test_there_are_nine_each_with_all_its_parts() -> None:
    assert [lesson.number for lesson in lessons()] == list(range(1, 10))
    assert len({lesson.name for lesson in lessons()}) == 9
    for lesson in lessons():
        assert lesson.runs or lesson.chart, "the live machine"
        claimed = {claim.scenario: claim.verdict for claim in lesson.claims}
        for pair in lesson.pairs:
            assert (claimed[pair.broken], claimed[pair.fixed]) == ("fail", "pass"), lesson.name
        assert {order.scenario for order in lesson.orders} <= claimed.keys()
        assert lesson.scenarios <= set(shipped())
    assert len(lessons()[5].orders) == 6


def test_a_lesson_is_html_without_any_html_of_its_author() -> None:
    lesson = lessons()[0].model_copy(update={"text": "**a** <script>alert(1)</script> [x](javascript:alert)"})
    html = lesson_json(lesson)["text"]
    assert "<strong>a</strong>" in html
    assert "<script" not in html
    assert "javascript:" not in html or "href" not in html
    assert "claims" not in lesson_json(lesson)


def test_a_wrong_lesson_file_is_refused() -> None:
    text = 'number = 1\nname = "x"\ntitle = ""\nask = ""\ntext = ""\nafter = ""\nclaims = []\npairs = []\n'
    options = '[[prediction.options]]\ntext = ""\nbecause = ""\n' * 2
    with pytest.raises(ValidationError, match="right: found 2, allowed: 0 to 1"):
        parse_lesson(f'{text}[prediction]\nquestion = ""\nright = 2\n{options}')


def test_levels_are_scenarios_some_of_which_cannot_be_broken() -> None:
    expected = {level.scenario: subject_of(load(level.scenario)).expect for level in levels()}
    assert len(expected) == len(levels())
    assert sum(expect is None for expect in expected.values()) >= 3
    for name, expect in expected.items():
        explored = explore(subject_of(load(name)), Options(budget=Budget(seconds=30)))
        assert (explored.counterexample.check if explored.counterexample else None) == expect, name
        assert explored.complete or explored.counterexample
