"""A tab's explorer, asked as the server asks it."""

from __future__ import annotations

from typing import Any

import pytest

from percpu_emu.scenario.load import load
from percpu_emu.scenario.quizzing import quiz_trace
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.web.answers import answered

from .workers import Worker


def test_it_answers_line_by_line_and_ends_with_its_input() -> None:
    with Worker("search_worker") as worker:
        worker.say(id=1, ask="explore", scenario="one-word")
        found = worker.hear()
        assert (found["id"], found["verdict"], found["check"], found["preemptions"]) == (1, "fail", "lost-count", 1)
        worker.send("no json\n[]\n")
        worker.say(id=2, ask="play", scenario="one-word", choices=[])
        assert worker.hear()["id"] == 2
    assert worker.process.returncode == 0


def test_a_trace_is_the_smallest_counterexample_and_where_there_is_none_the_plain_way() -> None:
    found = answered({"ask": "trace", "scenario": "flush-then-swap"})
    assert found["token"] == quiz_trace(subject_of(load("flush-then-swap")), None).token
    assert found["violation"]["check"] == "lost-count"
    fixed = answered({"ask": "trace", "scenario": "release-in-order"})
    assert fixed["violation"] is None
    assert fixed["preemptions"] == 0
    assert all(option["why_not"] for option in fixed["next"]), "it goes to the end"


def test_a_link_opens_the_same_steps_also_of_fewer_contexts() -> None:
    example = answered({"ask": "explore", "scenario": "release-storm"})
    assert "it has no table explore" in example["error"]
    found = answered({"ask": "explore", "scenario": "one-word"})
    opened = answered({"ask": "trace", "token": found["token"]})
    assert (opened["token"], opened["preemptions"]) == (found["token"], found["preemptions"])
    further = answered({"ask": "play", "token": found["token"], "choices": opened["choices"][:2]})
    assert further["steps"] == opened["steps"][:2]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"ask": "nothing"}, "ask is trace, play or explore"),
        ({}, "ask is trace, play or explore"),
        ({"ask": "trace", "scenario": "../flush"}, "'../flush': no scenario that ships has that name"),
        ({"ask": "explore", "scenario": 3}, "3: no scenario that ships has that name"),
        ({"ask": "play", "scenario": "one-word", "choices": "1"}, "choices is a list of numbers"),
        ({"ask": "play", "scenario": "one-word", "choices": [-1]}, "choices is a list of numbers"),
        ({"ask": "play", "scenario": "one-word", "choices": [7]}, "step 0: context 7 cannot do anything now"),
        ({"ask": "play", "scenario": "one-word", "choices": [0] * 3000}, "3000 steps, and at most 2000 are taken"),
        ({"ask": "trace", "token": "nonsense"}, "'nonsense' is not a token"),
        ({"ask": "trace", "token": "one-word:01.AAAA"}, "the link is about other programs than one-word has now"),
        ({"ask": "trace", "token": "nothing:01.AAAA"}, "'nothing': no scenario that ships"),
    ],
)
def test_a_wrong_request_is_answered_in_a_sentence(request_: dict[str, Any], said: str) -> None:
    found = answered({**request_, "id": 5})
    assert found["id"] == 5
    assert said in found["error"]
