"""Scenarios of which a verdict was once wrong, each with the right one, of the search and of the oracle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from percpu_emu.explore.strategies import Explored, Options, explore
from percpu_emu.explore.subject import Subject
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

from .oracle import reachable

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
FAULTS: Final = Path(__file__).parent / "faults"
PASS, INCONCLUSIVE = "pass", "inconclusive"

ABSENCE: Final = {"deadlock", "livelock", "leak", "lost-count", "doubled-count"}
"""Faults that a scenario may have only because a context is left out: none is left out of their counterexamples."""


@dataclass(frozen=True)
class Right:
    """The right answer: a check that fails, or PASS or INCONCLUSIVE."""

    answer: str
    steps: int | None = None
    """Of the counterexample."""
    acting: frozenset[int] = frozenset()
    """Contexts that take part in the counterexample, because the fault is theirs."""


TABLE: Final = {
    "remote-take": Right("doubled-count", acting=frozenset({0, 1})),
    "local-take": Right(PASS),
    "beyond-area": Right("wild-access", steps=2),
    "beyond-object": Right("wild-access", steps=2),
    "beyond-static": Right("wild-access", steps=1),
    "wait-window-kill": Right("warning", acting=frozenset({0, 1})),
    "wait-window-offline": Right("warning", acting=frozenset({0, 1})),
    "spin-window-interrupt": Right("deadlock", acting=frozenset({0, 1})),
    "section-left-open": Right("unbalanced-section", steps=1),
    "unlock-without-lock": Right("unbalanced-section", steps=1),
    "kinds-mixed": Right("unbalanced-section", steps=2),
    "future-reader": Right("deadlock", acting=frozenset({0, 1})),
    "early-free": Right("early-free", acting=frozenset({0, 1})),
    "restore-that-disables": Right("use-after-free", acting=frozenset({0, 1})),
    "off-after-callback": Right("lost-count", acting=frozenset({0, 1})),
    "counts-in-registers": Right(PASS),
    "many-marks": Right(INCONCLUSIVE),
    "spinning-abba": Right("livelock", acting=frozenset({0, 1})),
    "spin-for-ever": Right("livelock"),
    "poll-in-vain": Right("livelock"),
    "poller-first": Right(PASS),
    "setter-first": Right(PASS),
    "ticket-lock": Right(PASS),
    "wait-in-section": Right("sleep-in-atomic"),
    "spin-in-section": Right(PASS),
    "same-cpu-wait": Right(PASS),
    "grace-period-in-section": Right("deadlock", steps=2),
    "warn-then-hang": Right("warning", steps=1),
    "two-holders": Right("leak", steps=6, acting=frozenset({0, 1})),
    "abba-among-others": Right("deadlock", acting=frozenset({3, 4})),
    "three-steps": Right("warning", steps=3),
    "own-check": Right("warning", steps=3),
    "requeues-itself": Right("warning"),
    "past-the-last-cpu": Right("warning", steps=2),
    "nine-callbacks": Right(PASS),
    "division-by-zero": Right("fault", steps=1),
    "shift-by-64": Right("fault", steps=2),
}


def subject(name: str) -> Subject:
    return subject_of(load(str(FAULTS / f"{name}.toml")))


def answer(explored: Explored) -> str:
    if explored.counterexample is not None:
        return explored.counterexample.check
    return PASS if explored.complete and not explored.unreached else INCONCLUSIVE


def test_every_scenario_has_its_answer() -> None:
    assert {path.stem for path in FAULTS.glob("*.toml")} == set(TABLE)


@pytest.mark.parametrize("reduce", [True, False], ids=["reduced", "plain"])
@pytest.mark.parametrize("name", TABLE)
def test_the_search_gives_the_right_answer(name: str, *, reduce: bool) -> None:
    right, explored = TABLE[name], explore(subject(name), Options(reduce=reduce))
    assert answer(explored) == right.answer
    example = explored.counterexample
    if example is not None:
        assert right.steps in (None, len(example.schedule))
        assert right.acting <= {step.context for step in example.trace.steps}
        if right.answer in ABSENCE:
            assert len(example.subject.setting.contexts) == len(subject(name).setting.contexts)


@pytest.mark.parametrize("name", TABLE)
def test_the_oracle_gives_the_right_answer(name: str) -> None:
    """Where registers may hold a difference after a callback, the oracle leaves it to the search."""
    right, what = TABLE[name].answer, subject(name)
    checks = what.checks
    outcome = reachable(what.setting, checks.left, checks.total, checks.bound, exclusive=checks.exclusive)
    assert (right in outcome.violations | outcome.after_callbacks) == (right not in (PASS, INCONCLUSIVE))
    assert outcome.violations <= {right, "early-free"}
    assert (right == INCONCLUSIVE) == bool(set(what.sometimes) - outcome.marks)


def test_the_fault_of_arithmetic_is_told_with_its_line() -> None:
    for name in ("division-by-zero", "shift-by-64"):
        example = explore(subject(name), Options()).counterexample
        assert example is not None
        assert example.trace.violation is not None
        text = (FAULTS / f"{name}.py").read_text().splitlines()
        line = next(number for number, line in enumerate(text, 1) if re.search(r"// x|<< x", line))
        assert re.search(rf"\b{line}\b", example.trace.violation.detail)
