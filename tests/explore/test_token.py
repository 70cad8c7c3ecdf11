from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.explore.model import Model
from percpu_emu.explore.token import BadToken, Token, departures_of, digest, schedule_of
from percpu_emu.explore.tracing import NotPossible, Stepper
from percpu_emu.lang.setting import MIGRATE
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

SCENARIOS = ["flush-then-swap", "raw-add-migration", "v3-h3-counted-twice", "ref-sum-one-by-one"]

steps = st.integers(0, 200)
choices = st.integers(0, 61).flatmap(lambda c: st.sampled_from([c, c + MIGRATE, c + MIGRATE * 3]))

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@given(
    departures=st.lists(st.tuples(steps, choices), max_size=8),
    turns=st.none() | st.lists(st.integers(0, 61), min_size=1, max_size=6).map(tuple),
    cpus=st.none() | st.integers(1, 16),
)
def test_a_token_says_all_of_itself(
    departures: list[tuple[int, int]], turns: tuple[int, ...] | None, cpus: int | None
) -> None:
    token = Token("a-scenario", tuple(departures), "aB3z", turns, cpus)
    assert Token.parse(str(token)) == token


@pytest.mark.parametrize("name", SCENARIOS)
def test_any_schedule_goes_through_a_token_unchanged(name: str) -> None:
    model = Model(subject_of(load(name)).setting)
    chance = random.Random(1)
    for _ in range(20):
        stepper = Stepper(model)
        schedule = []
        while possible := stepper.choices():
            schedule.append(chance.choice(possible))
            stepper.take(schedule[-1])
        assert schedule_of(model, departures_of(model, schedule)) == schedule


NO_TOKENS = ["", "x", "flush-then-swap", "flush-then-swap:0", "flush-then-swap:0.abcde", "a b:.abcd"]


@pytest.mark.parametrize("text", NO_TOKENS)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        Token.parse(text)


def test_a_departure_to_a_context_that_cannot_go_on_is_refused() -> None:
    model = Model(subject_of(load("flush-then-swap")).setting)
    with pytest.raises(BadToken, match="cannot go on"):
        schedule_of(model, [(0, 5)])
    with pytest.raises(BadToken, match="goes on"):
        schedule_of(model, [(90, 1)])


def test_other_programs_have_another_digest() -> None:
    assert digest(Model(subject_of(load("flush-then-swap")).setting)) != digest(
        Model(subject_of(load("release-in-order")).setting)
    )


def test_an_impossible_schedule_is_refused() -> None:
    with pytest.raises(NotPossible, match="step 1"):
        Stepper(Model(subject_of(load("flush-then-swap")).setting)).run([0, 7])


def test_a_schedule_that_goes_round_for_ever_ends_after_a_round() -> None:
    """A token ends with the last departure; what comes after it is plain, and here it never ends."""
    model = Model(subject_of(load("starved-by-test-and-set")).setting)
    schedule = schedule_of(model, [(4, 1)])
    stepper, seen = Stepper(model), set[tuple[bytes, int]]()
    for choice in schedule[:-1]:
        stepper.take(choice)
        seen.add((stepper.state[: model.size].tobytes(), choice))
    stepper.take(schedule[-1])
    assert stepper.choices()
    assert (stepper.state[: model.size].tobytes(), schedule[-1]) in seen
    assert len(schedule) < 100
