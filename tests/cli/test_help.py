from __future__ import annotations

import json
import os
import pty

import pytest

from percpu_emu.cli.manual import print_topic
from percpu_emu.report.manual import topics
from percpu_emu.report.result import Report

from .commands import command


def test_without_a_topic_help_lists_all() -> None:
    result = command("help")
    assert result.returncode == 0, result.stderr
    assert all(f"`percpu-emu help {topic}`" in result.stdout for topic in topics.TOPICS)


@pytest.mark.parametrize("topic", ["checks", "rcu_dereference"])
def test_a_topic_is_printed_as_markdown_where_stdout_is_no_terminal(topic: str) -> None:
    assert command("help", topic).stdout == topics.text_of(topic)


def test_the_object_has_the_text() -> None:
    report = Report.model_validate(json.loads(command("help", "exit-codes", "--json", "--seed", "3").stdout))
    assert (report.command, report.subject, report.verdict, report.seed) == ("help", "exit-codes", "pass", 3)
    assert report.figures == {"text": topics.text_of("exit-codes")}


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("chekcs", "percpu-emu: no topic 'chekcs'; did you mean checks?"),
        ("this_cpu_ad", "no topic 'this_cpu_ad'; did you mean this_cpu_and or this_cpu_add or "),
        ("xyzzy", "no topic 'xyzzy'; there are language, structures, operations, "),
    ],
)
def test_an_unknown_topic_is_refused_with_near_ones(topic: str, message: str) -> None:
    result = command("help", topic)
    assert result.returncode == 2
    assert message in result.stderr
    assert not result.stdout


def test_an_unknown_topic_is_an_object_too() -> None:
    result = command("help", "chekcs", "--json")
    report = Report.model_validate(json.loads(result.stdout))
    assert result.returncode == 2
    assert report.error is not None
    assert report.error.message == "no topic 'chekcs'; did you mean checks?"


def test_a_terminal_gets_a_rendered_text(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, terminal = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(terminal, "w") as stdout:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stdout", stdout)
        print_topic("exit-codes", None, as_json=False)
        stdout.flush()
        shown = os.read(ours, 65536).decode()
    assert "Exit codes" in shown
    assert "# Exit codes" not in shown
    assert "| --- |" not in shown
