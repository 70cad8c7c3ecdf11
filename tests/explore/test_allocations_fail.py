"""Allocations that fail where the search says so: each on its own, so many in a schedule, and on real processes too."""

from __future__ import annotations

from pathlib import Path

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.explore.strategies import Options, Strategy, explore
from percpu_emu.explore.subject import After, Subject
from percpu_emu.explore.token import Token
from percpu_emu.lang.ops import Program, alloc_percpu, free_percpu, kfree, kzalloc, read_once, write_once
from percpu_emu.lang.setting import FAIL, ContextSpec, Setting
from percpu_emu.lang.source import steps_by_name
from percpu_emu.replay import Part
from percpu_emu.scenario.exploration import checks_of, scope_of, verdict
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.playing import Player
from percpu_emu.scenario.replaying import checks_of_replay, plan_of_schedule, replay_token, schedule_in
from percpu_emu.scenario.subjects import subject_of

from .racing_programs import WORD
from .searched import searched

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def takes() -> Program[int]:
    """Whether it has got memory."""
    pointer = yield kzalloc(8)
    yield kfree(pointer)
    return pointer != 0


def takes_both() -> Program[int]:
    pointer = yield kzalloc(8)
    slots = yield alloc_percpu(8, 8)
    yield kfree(pointer)
    yield free_percpu(slots)
    return (pointer != 0) * 2 + (slots != 0)


def takes_then_writes() -> Program[None]:
    pointer = yield kzalloc(8)
    yield write_once(pointer, 1)
    yield kfree(pointer)


def set_up() -> Program[None]:
    pointer = yield kzalloc(8)
    yield write_once(WORD, pointer)


def uses_setup() -> Program[None]:
    pointer = yield read_once(WORD)
    yield write_once(pointer, 1)


def setting(*programs: object, fail: int, setup: object = None) -> Setting:
    contexts = tuple(ContextSpec(f"c{n}", program, cpu=n) for n, program in enumerate(programs))  # type: ignore[arg-type]
    return Setting(2, contexts, setup, allocations_fail=fail)  # type: ignore[arg-type]


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
@pytest.mark.parametrize(
    ("fail", "results"),
    [(0, {(1, 1)}), (1, {(1, 1), (0, 1), (1, 0)}), (2, {(1, 1), (0, 1), (1, 0), (0, 0)})],
)
def test_any_of_them_fails_and_no_more_than_so_many(fail: int, results: object, *, reduce: bool) -> None:
    found = searched(setting(takes, takes, fail=fail), Checks(left=0), reduce=reduce)
    assert found.violations == set()
    assert {results for _, results in found.finals} == results


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
def test_each_allocation_of_a_context_fails_on_its_own(*, reduce: bool) -> None:
    found = searched(setting(takes_both, fail=1), Checks(left=0), reduce=reduce)
    assert {results for _, (results,) in found.finals} == {1, 2, 3}


def test_those_of_the_setup_never_fail() -> None:
    assert searched(setting(uses_setup, fail=2, setup=set_up)).violations == set()


@pytest.mark.parametrize("strategy", ["exhaustive", "preemptions", "random", "pct"])
def test_every_strategy_has_them_fail(strategy: Strategy) -> None:
    subject = Subject("careless", setting(takes_then_writes, fail=1))
    example = explore(subject, Options(strategy=strategy, schedules=200)).counterexample
    assert example is not None
    assert (example.check, example.schedule) == ("wild-access", (FAIL, 0))
    assert "," in example.token
    assert Token.parse(example.token).departures == ((0, FAIL),)
    assert schedule_in(Token.parse(example.token), subject).schedule == example.schedule


def test_a_check_looks_right_after_one_that_fails() -> None:
    steps = steps_by_name([takes])
    after = After("takes:1", frozenset(steps["takes:1"]), lambda state: "nothing" if state.word(WORD) == 0 else None)
    example = explore(Subject("after", setting(takes, fail=1), after=(after,)), Options()).counterexample
    assert example is not None
    assert len(example.schedule) == 1


def test_the_scope_names_how_many() -> None:
    explored = explore(Subject("some", setting(takes, takes, fail=1)), Options())
    assert scope_of(explored)["allocations_fail"] == 1
    assert verdict(explored, checks_of(explored)) == "pass"
    assert "allocations_fail" not in scope_of(explore(Subject("none", setting(takes, fail=0)), Options()))


def test_who_chooses_the_next_step_can_have_it_fail() -> None:
    played = Player(subject_of(load("out-of-memory-slots-leak"))).play([])
    assert [(option.op, option.choice) for option in played.options] == [("kzalloc", 0), ("fails", FAIL)]
    again = Player(subject_of(load("out-of-memory-slots-leak"))).play([FAIL])
    assert again.trace.steps[0].result == 0


@pytest.mark.parametrize("name", ["out-of-memory-slots-leak", "out-of-memory-flush"])
def test_real_processes_get_no_memory_either(name: str) -> None:
    subject = subject_of(load(name))
    example = explore(subject, Options()).counterexample
    assert example is not None
    assert example.check == subject.expect
    done = replay_token(example.token)
    assert [check for check in checks_of_replay(done) if not check.ok] == []
    assert any(step.op in ("kzalloc", "alloc_percpu") and step.result == 0 for step in done.replayed.steps)


def test_a_plan_has_a_part_for_it() -> None:
    plan = plan_of_schedule(setting(takes, fail=1), [FAIL, 0])
    assert [step.part for step in plan.steps] == [Part.FAIL, Part.WHOLE]


@pytest.mark.parametrize("found", ["-1", "9", '"one"', "true"])
def test_a_number_that_is_none_is_refused(found: str, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("from percpu_emu.lang.ops import *\n\ndef p():\n    yield smp_mb()\n")
    path = tmp_path / "s.toml"
    path.write_text(
        f'name = "s"\nsummary = "s"\n[machine]\ncpus = 1\n[explore]\nprograms = "p.py"\nallocations_fail = {found}\n'
        '[[explore.contexts]]\nprogram = "p"\n'
    )
    with pytest.raises(ScenarioError, match="allocations_fail"):
        load(str(path))
