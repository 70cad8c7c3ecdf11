"""The search, plain and reduced, against the oracle that takes every schedule the slow way.

`PERCPU_EMU_TEST_SETTINGS=1000 pytest tests/explore/test_against_oracle.py` tries more random settings than usual.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.search import Search, with_room
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.scenario.load import load, scenario_names
from percpu_emu.scenario.settings import subject_of

from .explorer_programs import count_here
from .oracle import TooMany, reachable
from .writer import write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
SETTINGS = int(os.environ.get("PERCPU_EMU_TEST_SETTINGS", "60"))
IN_ONE_TEST = 20
Finals: TypeAlias = "set[tuple[tuple[tuple[int, int], ...], tuple[int, ...]]]"


def load_text(path: Path, text: str) -> Any:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def searched(setting: Setting, *, reduce: bool) -> tuple[set[str], Finals]:
    """The checks that some schedule violates, and every final state."""

    def search(model: Model) -> tuple[set[str], Finals]:
        done = Search(model, reduce)
        checks = {found.check for found in done.run(every=True)} - {"early-free"}  # the oracle does not have that one
        return checks, {(tuple(sorted(model.words(s).items())), model.results(s)) for s in done.finals}

    found: tuple[set[str], Finals] = with_room(setting, Checks(), search)
    return found


@pytest.mark.parametrize("first", range(0, SETTINGS, IN_ONE_TEST))
def test_a_random_setting_comes_to_the_same_ends_as_in_the_oracle(first: int, tmp_path: Path) -> None:
    compared = 0
    for seed in range(first, first + IN_ONE_TEST):
        written = write(seed)
        setting = written.setting(load_text(tmp_path / f"random_setting_{seed}.py", written.text))
        try:
            outcome = reachable(setting, max_states=800)
        except TooMany:
            continue
        ends: Finals = {(tuple(sorted(words)), results) for words, results in outcome.finals}
        assert searched(setting, reduce=False) == (set(outcome.violations), ends), seed
        violated, reduced_ends = searched(setting, reduce=True)
        assert violated == set(outcome.violations), seed
        if not violated:
            assert reduced_ends == ends, seed
        compared += 1
    assert compared > IN_ONE_TEST // 3


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


@pytest.mark.parametrize("name", [name for name in scenario_names() if load(name).scenario.explore])
def test_every_scenario_comes_out_as_it_says(name: str) -> None:
    subject = subject_of(load(name))

    def search(model: Model) -> tuple[set[str], str]:
        done = Search(model)
        return {found.check for found in done.run()}, done.stopped

    found, stopped = with_room(subject.setting, subject.checks, search)
    assert not stopped
    assert bool(found) == (subject.expect is not None)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in scenario_names()
        if (part := load(name).scenario.explore) and part.expect and subject_of(load(name)).reducible
    ],
)
def test_the_reduction_needs_no_more_preemptions_than_plain_search(name: str) -> None:
    subject = subject_of(load(name))

    def least(model: Model, reduce: bool) -> tuple[str, int, int]:
        search = Search(model, reduce)
        found = search.least_preempted()
        assert found is not None
        return found.check, len(found.schedule), search.reached

    plain = with_room(subject.setting, subject.checks, lambda model: least(model, False))
    reduced = with_room(subject.setting, subject.checks, lambda model: least(model, True))
    assert reduced == plain
    assert reduced[0] == subject.expect
