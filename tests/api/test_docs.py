"""docs/python.md: every block of it runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import percpu_emu

from .scenarios import KNOWN, write_race

pytest_plugins = "pytester"
pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
PAGE = Path(__file__).parents[2] / "docs" / "python.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
TESTS = [text for language, text in BLOCKS if language == "python" and "def test_" in text]
CODE = [text for language, text in BLOCKS if language == "python" and text not in TESTS]
COMMANDS = [text for language, text in BLOCKS if language == "sh"]


def test_every_block_is_code_or_a_session() -> None:
    assert len(CODE) + len(TESTS) + len(COMMANDS) == len(BLOCKS)
    assert CODE
    assert TESTS
    assert COMMANDS


def test_the_code_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for text in CODE:
        exec(compile(text, PAGE.name, "exec"), names)
    assert (tmp_path / "counterexample.html").read_text().startswith("<!doctype html>")


def test_the_sessions_pass(pytester: pytest.Pytester) -> None:
    percpu_emu.run("lost-increment", seconds=0.01)  # pytester forgets what a session imports, numba among it
    write_race(pytester.mkdir("scenarios"), scenario=KNOWN)
    for text in TESTS:
        pytester.makepyfile(text)
        pytester.runpytest_inprocess("-p", "percpu_emu.pytest_plugin").assert_outcomes(passed=3)
    for text in COMMANDS:
        program, *arguments = shlex.split(text)
        assert program == "pytest"
        pytester.runpytest_inprocess("-p", "percpu_emu.pytest_plugin", *arguments).assert_outcomes(passed=1)
