"""Calls of the kernel's helpers in a counterexample: a line in the caller's words, or steps where others act inside."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from percpu_emu.explore.strategies import Options, explore
from percpu_emu.lang.trace import Trace
from percpu_emu.report.columns import columns
from percpu_emu.report.story import story
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

from . import helper_calls

FILE = Path(helper_calls.__file__)
CALLS = [
    ast.unparse(node.value)
    for function in ast.parse(FILE.read_text()).body
    if isinstance(function, ast.FunctionDef) and function.name == "every_call"
    for node in ast.walk(function)
    if isinstance(node, ast.YieldFrom)
]

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def trace(name: str) -> Trace:
    found = explore(subject_of(load(f"{FILE}::{name}")), Options()).counterexample
    assert found is not None
    return found.trace


def test_each_call_is_a_line_under_the_words_of_its_caller() -> None:
    lines = columns(trace("every-helper"), 200).splitlines()
    shown = [line for line in lines if re.match(r"\s+\d+ ", line)]
    assert len(shown) == len(CALLS) == 29
    for line, call in zip(shown, [call.replace("wrapped", "refcount_set") for call in CALLS], strict=True):
        assert re.match(rf"\s+\d+\s+(\.\.\. \d+ steps of )?{re.escape(call)}   ", line), (line, call)


def test_a_story_calls_them() -> None:
    told = story(trace("every-helper"))[0]
    assert "calls complete(all_of.done)" in told
    assert "calls mutex_lock(all_of.mutex)" in told


def test_a_call_in_whose_middle_another_context_acts_is_shown_step_by_step() -> None:
    text = columns(trace("list-without-lock"), 200)
    assert "of list_add(all_of.item" in text or "of list_add(all_of.other" in text  # the one that is not cut
    assert re.search(r"\d+ +read_once\(items.next\)", text)
    assert not re.search(r"\((head|new|entry|node)[.,)]", text)
