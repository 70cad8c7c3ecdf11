"""Schedules taken choice by choice: as the search tells them, and what is said to be possible is."""

from __future__ import annotations

import random

import pytest

from percpu_emu.explore.counterexample import smallest
from percpu_emu.explore.search import Budget
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.token import Token
from percpu_emu.explore.tracing import NotPossible
from percpu_emu.report.played import played_dict
from percpu_emu.scenario.load import load
from percpu_emu.scenario.playing import LONGEST, Player, TooLong
from percpu_emu.scenario.subjects import subject_of

NAMES = [
    "flush-then-swap", "release-in-order", "raw-add-interrupt", "raw-add-migration",
    "ref-freed-under-callback", "v3-h3-counted-twice", "two-flushers", "sum-misses-dying-cpu", "release-3x3",
]  # fmt: skip


def subject(name: str) -> Subject:
    return subject_of(load(name))


@pytest.mark.parametrize("name", ["flush-then-swap", "free-without-grace-period", "raw-add-migration"])
def test_a_counterexample_played_choice_by_choice_is_the_one_that_was_found(name: str) -> None:
    example = smallest(subject(name), Budget(seconds=20))
    assert example is not None
    player = Player(example.subject)
    for taken in range(len(example.schedule)):
        options = {option.choice: option for option in player.play(example.schedule[:taken]).options}
        assert options[example.schedule[taken]].obstacle is None
    played = player.play(example.schedule)
    assert played.trace.steps == example.trace.steps
    assert played.trace.violation == example.trace.violation
    assert (played.trace.token, played.preemptions) == (example.token, example.preemptions)
    assert not [option for option in played.options if option.obstacle is None]
    assert player.schedule_of(Token.parse(example.token)) == list(example.schedule)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_said_to_be_possible_is_and_what_is_not_has_a_reason(name: str, seed: int) -> None:
    player, chance, schedule = Player(subject(name)), random.Random(seed), list[int]()
    reasons = set()
    while len(schedule) < 200:
        played = player.play(schedule)
        assert {context.number for context in played.trace.contexts} >= set(range(len(player.subject.setting.contexts)))
        possible = [option.choice for option in played.options if option.obstacle is None]
        for option in played.options:
            if option.obstacle is not None:
                reasons.add(option.obstacle.reason)
                with pytest.raises(NotPossible):
                    player.play([*schedule, option.choice])
        if not possible:
            break
        schedule.append(chance.choice(possible))
    assert "over" in reasons or played.trace.violation
    assert played.trace.violation or all(option.obstacle for option in played.options)


def test_every_reason_is_told_in_words() -> None:
    told = set()
    for name in NAMES:
        for seed in range(3):
            player, chance, schedule = Player(subject(name)), random.Random(seed), list[int]()
            while len(schedule) < 60:
                options = played_dict(player.play(schedule))["next"]
                told |= {f"{option['who']} {option['why_not']}" for option in options if option["why_not"]}
                possible = [option["choice"] for option in options if not option["why_not"]]
                if not possible:
                    break
                schedule.append(chance.choice(possible))
    assert "the coordinator is over" in told
    assert "CPU 0 waits: the interrupt on CPU 0 has to end first" in told
    assert "the hotplug code for CPU 1 waits until CPU 1 is between two programs: CPU 1 is in the middle of one" in told
    waiting = {line for line in told if "waits for a grace period" in line}
    assert "the coordinator waits for a grace period: CPU 0 is in a read-side section" in waiting
    assert any(line.startswith("the RCU callback percpu_rcu_free waits") for line in waiting)


def test_the_options_stand_in_the_sources_and_a_move_is_one() -> None:
    data = played_dict(Player(subject("raw-add-migration")).play([]))
    for option in data["next"]:
        source = data["sources"][option["source"]]
        assert option["text"].split("(")[0] in source["lines"][option["line"] - source["first"]]
    schedule = list[int]()
    player = Player(subject("raw-add-migration"))
    while not (
        moves := [o for o in played_dict(player.play(schedule))["next"] if o["text"].startswith("moves to CPU")]
    ):
        schedule.append(0)
    moved = played_dict(player.play([*schedule, moves[0]["choice"]]))
    assert moved["steps"][-1]["text"] == moves[0]["text"] == "moves to CPU 1"


def test_what_is_not_there_and_what_is_too_long_is_refused() -> None:
    player = Player(subject("flush-then-swap"))
    with pytest.raises(NotPossible, match="step 0: context 9"):
        player.play([9])
    with pytest.raises(TooLong, match="at most 2000"):
        player.play([0] * (LONGEST + 1))


def test_the_plain_schedule_runs_to_the_end_without_a_preemption() -> None:
    player = Player(subject("flush-then-swap"))
    played = player.play(player.plain())
    assert (played.preemptions, played.trace.violation) == (0, None)
    assert all(option.obstacle is not None for option in played.options)
