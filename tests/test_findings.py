"""docs/findings.md shows what `explore` prints today.

    PERCPU_EMU_REWRITE_GOLDEN=1 python -m pytest tests/test_findings.py

writes columns and sentences anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from percpu_emu.explore.strategies import Options, explore
from percpu_emu.report.columns import columns
from percpu_emu.report.story import burst_texts
from percpu_emu.report.view import View
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
FINDINGS = Path(__file__).parent.parent / "docs" / "findings.md"
FOUND = ["v3-h1-null-slots", "v3-h2-live-not-folded", "v3-h3-counted-twice", "v3-h4-dangling-offlined"]


@pytest.mark.parametrize("name", FOUND)
def test_a_finding_is_what_explore_prints(name: str) -> None:
    example = explore(subject_of(load(name)), Options()).counterexample
    assert example is not None
    text = f"{columns(example.trace).rstrip()}\n```\n\nIn words: {' '.join(burst_texts(View(example.trace)))}\n"
    if os.environ.get("PERCPU_EMU_REWRITE_GOLDEN"):
        old = re.compile(rf"^{name}: .*?^In words: .*?\n", re.MULTILINE | re.DOTALL)
        FINDINGS.write_text(old.sub(lambda _: text, FINDINGS.read_text(), count=1))
    assert text in FINDINGS.read_text()


@pytest.mark.parametrize("name", FOUND)
def test_its_fix_is_proved(name: str) -> None:
    explored = explore(subject_of(load(f"{name}-fixed")), Options())
    assert explored.complete
    assert explored.counterexample is None
    assert f"{explored.figures['states']} states" in FINDINGS.read_text()
