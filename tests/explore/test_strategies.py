from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from percpu_emu.explore import counterexample, judge, room
from percpu_emu.explore.model import Checks, Model, SetupFailed
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Budget, Search
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.explore.subject import ModelState, Subject
from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import ContextKind, ContextSpec, Setting
from percpu_emu.lang.virtual import layout
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

from .racing_programs import WORD, count_late, increment, poll, raise_flag, rare

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def two(program: ProgramFunction, other: ProgramFunction | None = None) -> Setting:
    return Setting(2, (ContextSpec("a", program, cpu=0), ContextSpec("b", other or program, cpu=1)))


def is_two(state: ModelState) -> str | None:
    return None if state.word(WORD) == 2 else f"the word is {state.word(WORD)}"


def below_two(state: ModelState) -> str | None:
    return "the word is 2" if state.word(WORD) == 2 else None


def test_a_users_check_of_the_end_finds_the_lost_update() -> None:
    explored = explore(Subject("race", two(increment), final=is_two), Options())
    assert explored.counterexample is not None
    assert explored.counterexample.check == "final"
    assert explored.counterexample.preemptions == 1
    assert explored.counterexample.trace.violation is not None
    assert explored.counterexample.trace.violation.detail == "the word is 1"


def test_a_users_invariant_sees_every_state() -> None:
    explored = explore(Subject("race", two(increment), invariant=below_two), Options())
    assert explored.counterexample is not None
    assert explored.counterexample.check == "invariant"
    assert not explored.reduction["on"]


def test_a_bound_turns_the_reduction_off_which_would_pass_over_states() -> None:
    """One task, ledger before twin: for a moment the twin is 1 behind, inside what the reduction takes as one move."""
    setting = Setting(1, (ContextSpec("late", count_late),))
    explored = explore(Subject("late", setting, Checks(bound=0)), Options())
    assert explored.counterexample is not None
    assert explored.counterexample.check == "error-bound"


def test_an_invariant_that_holds_passes() -> None:
    subject = Subject("race", two(increment), invariant=lambda state: "no" if state.word(WORD) > 2 else None)
    explored = explore(subject, Options())
    assert explored.complete
    assert explored.counterexample is None


@pytest.mark.parametrize(("mark", "unreached"), [("always", ()), ("never", ("never",)), ("misspelt", ("misspelt",))])
def test_marks_that_are_not_reached_are_named(mark: str, unreached: tuple[str, ...]) -> None:
    assert explore(Subject("marks", two(rare), sometimes=(mark,)), Options()).unreached == unreached


def test_a_loop_that_polls_is_a_circle_of_states_and_no_endless_search() -> None:
    explored = explore(Subject("poll", two(poll, raise_flag)), Options())
    assert explored.complete
    assert explored.figures["executions"] is None


def test_a_loop_that_no_context_ends_is_a_livelock_told_with_its_cycle() -> None:
    example = explore(Subject("poll", two(poll, rare)), Options(budget=Budget(seconds=20))).counterexample
    assert example is not None
    assert example.check == "livelock"
    assert example.schedule[-1] == 0
    assert example.trace.violation is not None
    assert "polls" in example.trace.violation.detail


def test_a_setup_that_waits_is_refused() -> None:
    setting = Setting(1, (ContextSpec("a", rare),), setup=poll)
    with pytest.raises(SetupFailed, match="does not end"):
        explore(Subject("setup", setting), Options())


def test_the_same_search_gives_the_same_token() -> None:
    examples = [explore(Subject("race", two(increment), final=is_two), Options()).counterexample for _ in range(3)]
    assert len({example.token if example else "" for example in examples}) == 1


def test_two_independent_tasks_have_one_execution_when_reduced_and_all_of_them_otherwise() -> None:
    subject = Subject("marks", two(raise_flag, rare))
    assert explore(subject, Options()).figures["executions"] == 1
    assert explore(subject, Options(reduce=False)).figures["executions"] == 3


def test_what_was_found_is_kept_where_there_is_no_time_for_less() -> None:
    subject = subject_of(load("flush-then-swap"))
    found = with_room(subject.setting, subject.checks, lambda model: _first(subject, model, Budget(seconds=0.0)))
    assert found == subject.expect


def _first(subject: Subject, model: Model, budget: Budget) -> str:
    first = Search(model, reduce=True).run()[0]
    return counterexample.shrunk(subject, model, first, budget).check


def gives_a_number(state: ModelState) -> Any:
    return state.word(WORD) + 1


def raises(state: ModelState) -> Any:
    return {}[state.word(WORD)]


def never_ends(_state: ModelState) -> str | None:
    while True:
        pass


def never_ends_and_catches_everything(state: ModelState) -> str | None:
    for _ in range(3):
        with contextlib.suppress(BaseException):
            never_ends(state)
    return never_ends(state)


@pytest.mark.parametrize(
    ("final", "said"),
    [
        (gives_a_number, r"explore.final: gives_a_number: gave \d+, allowed: a sentence"),
        (raises, "explore.final: raises: KeyError: .*, where a s"),
        (never_ends, "explore.final: never_ends: does not end within 0.1 s of p"),
        (never_ends_and_catches_everything, "explore.final: never_ends_and_c.*: does not end within 0.1 s"),
    ],
)
def test_a_users_check_that_says_no_sentence_is_refused(monkeypatch: pytest.MonkeyPatch, final: Any, said: str) -> None:
    monkeypatch.setattr(judge, "SECONDS", 0.1)
    with pytest.raises(SetupFailed, match=said):
        explore(Subject("race", two(increment), final=final), Options())


def test_the_time_of_a_search_holds_for_a_slow_check_too() -> None:
    def slow(_state: ModelState) -> None:
        time.sleep(0.05)

    started = time.monotonic()
    explored = explore(Subject("race", two(increment), invariant=slow), Options(budget=Budget(seconds=0.1)))
    assert time.monotonic() - started < 10.0, f"{explored.figures} states"
    assert (explored.complete, explored.stopped) == (False, "limit of 0.1 s")


def test_an_instruction_that_the_engine_does_not_know_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs that a subject has, with the opcode of the first access replaced."""

    class Damaged(Model):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            first = int(self.vm[layout.CODE]) + int(self.initial[self.block(0) + layout.PC]) * i.COLUMNS
            self.vm[first + i.OPCODE] = max(i.LAST_ACCESS, *(op.opcode for op in OPERATIONS.values())) + 100

    monkeypatch.setattr(room, "Model", Damaged)
    subject = Subject("damaged", Setting(1, (ContextSpec("only", increment, cpu=0),)), Checks())
    with pytest.raises(NotImplementedError, match="an instruction that the virtual engine does not know"):
        explore(subject, Options())


@pytest.mark.parametrize(
    ("kind", "more"), [("interrupt", {"turns": 2}), ("kill", {"turns": 2}), ("offline", {"migrates": 1})]
)
def test_only_a_task_runs_more_than_once_or_moves(kind: ContextKind, more: dict[str, int]) -> None:
    name = next(iter(more))
    with pytest.raises(ValueError, match=f"{name} is at most {more[name] - 1} for kind '{kind}'"):
        ContextSpec("one", increment, kind, cpu=0, **more)
