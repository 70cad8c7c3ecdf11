"""The quiz: the same page with question marks, answers on demand, and what is typed compared."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from percpu_emu.cli.main import app
from percpu_emu.cli.quiz import _ask
from percpu_emu.report.columns import columns
from percpu_emu.report.quiz import Question, questions, quiz_page
from percpu_emu.scenario.load import load
from percpu_emu.scenario.quizzing import quiz_trace
from percpu_emu.scenario.subjects import subject_of

pytestmark = pytest.mark.timeout(360)  # the first of them may compile the search


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["quiz", *arguments])
    return result.exit_code, result.stdout


def test_the_page_has_every_operation_and_no_value() -> None:
    trace = quiz_trace(subject_of(load("flush-then-swap")), None)
    page, solved = quiz_page(trace), columns(trace)
    assert "this_cpu_add(slots.slot, 1)" in page
    assert "slot of CPU 0: ? -> ?" in page
    assert "lost-count" not in page
    assert "!!" not in page
    assert "percpu-emu replay" not in page
    assert "slot of CPU 0: 0 -> 1" in solved


def test_every_question_has_the_answer_that_the_page_would_show() -> None:
    trace = quiz_trace(subject_of(load("flush-then-swap")), None)
    *values, ending = questions(trace)
    solved = " ".join(columns(trace).split())
    assert values
    for question in values:
        assert "?" in question.text
        assert "?" not in question.answer
        assert " ".join(question.answer.split()) in solved
    assert ending.answer.startswith("lost-count: ")


def test_a_run_in_which_nothing_goes_wrong_says_so() -> None:
    trace = quiz_trace(subject_of(load("release-in-order")), None)
    assert questions(trace)[-1].answer.startswith("Nothing: ")


def test_the_same_seed_asks_the_same_and_another_one_something_else() -> None:
    subject = subject_of(load("release-3x3"))
    pages = [quiz_page(quiz_trace(subject, seed)) for seed in (1, 1, 2)]
    assert pages[0] == pages[1] != pages[2]


@pytest.mark.parametrize(("typed", "right"), [("0 -> 1", True), ("1", True), ("0,1", True), ("0", False), ("", False)])
def test_what_is_typed_is_compared_value_by_value(typed: str, right: bool) -> None:
    assert Question(3, "x: ? -> ?", "x: 0 -> 1", ("0", "1")).accepts(typed) is right


def test_on_a_terminal_it_asks_and_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter(["1", "", "nothing"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    asked = [Question(1, "x = ?", "x = 1", ("1",)), Question(2, "x = ?", "x = 2", ("2",)), Question(0, "?", "lost")]
    _ask(asked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["    right", "    x = 2", "    lost", "1 of 2 values right"]


def test_the_command_asks_answers_and_gives_json() -> None:
    code, page = invoke("flush-then-swap")
    assert (code, "= ?" in page) == (0, True)
    assert page.rstrip().endswith("The answers: percpu-emu quiz flush-then-swap --answers")
    assert "lost-count: " in invoke("flush-then-swap", "--answers")[1]
    found = json.loads(invoke("flush-then-swap", "--json", "--seed", "2")[1])["figures"]
    assert found["questions"][-1]["step"] == 0
    assert invoke("dying-cgroups")[0] == 2
