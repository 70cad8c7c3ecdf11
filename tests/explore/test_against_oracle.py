"""The search, plain and reduced, against the oracle that takes every schedule the slow way.

`PERCPU_EMU_TEST_SETTINGS=1000 pytest tests/explore/test_against_oracle.py` tries more random settings than usual.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from percpu_emu.explore.counterexample import judges_of
from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Search
from percpu_emu.explore.store import MAX_VIOLATIONS, VIOLATIONS
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.explore.subject import Subject
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.programs import execute
from percpu_emu.scenario.subjects import subject_of

from .oracle import Outcome, TooMany, reachable
from .racing_programs import count_here, count_then_wait
from .searched import searched
from .writer import write
from .writer_many import write_many

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
SETTINGS = int(os.environ.get("PERCPU_EMU_TEST_SETTINGS", "200"))
IN_ONE_TEST = 20


def load_text(path: Path, text: str) -> Any:
    path.write_text(text)
    return execute(path)


def judged(violations: set[str]) -> set[str]:
    """Livelocks are looked for where all else holds: a search ends at its first violation."""
    return violations - {"livelock"} or violations


def compare(setting: Setting, checks: Checks, outcome: Outcome) -> None:
    """The searches of a setting with what the oracle says of it."""
    plain = searched(setting, checks, reduce=False)
    expected, possible = judged(outcome.violations), judged(outcome.violations) | outcome.after_callbacks
    if outcome.after_callbacks:  # the oracle does not know which of these differences are held in registers
        assert judged(plain.violations) <= possible
        assert plain.violations or not expected
    elif plain.search.store.numbers[VIOLATIONS] < MAX_VIOLATIONS:  # else some were not kept
        assert (judged(plain.violations), plain.finals) == (expected, outcome.finals)
    else:
        assert judged(plain.violations) <= expected
    if checks.bound is None:  # which the reduction does not keep
        reduced = searched(setting, checks, reduce=True)
        assert judged(reduced.violations) <= possible
        assert reduced.violations or not expected
        if not plain.violations:
            assert (reduced.violations, plain.finals, reduced.finals) == (set(), outcome.finals, outcome.finals)


@pytest.mark.parametrize(
    "seeds", [range(first, first + IN_ONE_TEST) for first in range(0, SETTINGS, IN_ONE_TEST)], ids=str
)
def test_a_random_setting_comes_to_the_same_ends_as_in_the_oracle(seeds: Sequence[int], tmp_path: Path) -> None:
    compared = 0
    for seed in seeds:
        written = write(seed)
        module = load_text(tmp_path / f"random_setting_{seed}.py", written.text)
        try:
            outcome = reachable(written.setting(module), **written.checked(module), max_states=1500)
        except TooMany:
            continue
        try:
            compare(written.setting(module), Checks(**written.checked(module)), outcome)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
        compared += 1
    assert compared > len(seeds) // 2


def test_a_deadlock_that_exceeds_the_bound_is_an_exceeded_bound() -> None:
    setting = Setting(1, (ContextSpec("counts, then waits for ever", count_then_wait, cpu=0),))
    found = searched(setting, Checks(bound=0), reduce=False)
    assert found.violations == reachable(setting, bound=0).violations == {"error-bound"}
    assert searched(setting, Checks(), reduce=False).violations == {"deadlock"}


@pytest.mark.parametrize("seed", range(max(12, SETTINGS // 20)))
def test_more_contexts_marks_and_counters_than_a_word_has_bits(seed: int, tmp_path: Path) -> None:
    written = write_many(seed)
    module = load_text(tmp_path / f"many_{seed}.py", written.text)
    setting, checks = written.setting(module), Checks(**written.checked(module))
    outcome = reachable(setting, **written.checked(module))
    compare(setting, checks, outcome)
    marks = dict.fromkeys(re.findall(r'mark\("(\w+)"\)', written.text))
    if not outcome.violations:
        subject = Subject("many", setting, checks, sometimes=tuple(marks))
        unreached = set(marks) - outcome.marks
        assert {reduce: set(explore(subject, Options(reduce=reduce)).unreached) for reduce in (False, True)} == {
            False: unreached,
            True: unreached,
        }


def test_random_programs_use_every_operation() -> None:
    programs = "".join(write(seed).text.partition("def p0")[2] for seed in range(400))
    assert set(re.findall(r"yield (\w+)\(", programs)) == set(OPERATIONS)


def test_two_independent_tasks_of_three_steps_have_20_interleavings_and_one_when_reduced() -> None:
    counts = []
    for reduce in (False, True):
        search = Search(Model(Setting(2, (three("a", 0), three("b", 1)))), reduce)
        search.run()
        counts.append(search.executions())
    assert counts == [20, 1]


def three(name: str, cpu: int) -> ContextSpec:
    """A task of three steps, on a word of its own CPU."""
    return ContextSpec(name, count_here, cpu=cpu, turns=3)


@pytest.mark.parametrize("name", [name for name in shipped() if load(name).scenario.explore])
def test_every_scenario_comes_out_as_it_says(name: str) -> None:
    subject = subject_of(load(name))

    def search(model: Model) -> tuple[set[str], str]:
        done = Search(model, subject.reducible, judges=judges_of(subject, model), fair=subject.fair)
        return {found.check for found in done.run()}, done.stopped

    found, stopped = with_room(subject.setting, subject.checks, search)
    assert not stopped
    assert bool(found) == (subject.expect is not None)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in shipped()
        if (part := load(name).scenario.explore)
        and part.expect not in (None, "circular-wait")  # which is of all runs together
        and subject_of(load(name)).reducible
    ],
)
def test_the_reduction_needs_no_more_preemptions_than_plain_search(name: str) -> None:
    subject = subject_of(load(name))

    def least(model: Model, reduce: bool) -> tuple[str, int, int]:
        search = Search(model, reduce, judges=judges_of(subject, model))
        found = search.least_preempted()
        assert found is not None
        return found.check, len(found.schedule), search.reached

    plain = with_room(subject.setting, subject.checks, lambda model: least(model, False))
    reduced = with_room(subject.setting, subject.checks, lambda model: least(model, True))
    assert reduced == plain
    assert reduced[0] == subject.expect
