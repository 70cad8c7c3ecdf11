"""docs/traces.md says what the formats are, and shows what `--trace` writes today.

    PERCPU_EMU_REWRITE_GOLDEN=1 python -m pytest tests/report/test_traces_page.py

writes its diagram anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from percpu_emu.report.export.formats import FORMATS, Format
from percpu_emu.report.export.mermaid import mermaid
from percpu_emu.report.export.shiviz import EXPRESSION

from .shipped import counterexample

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
PAGE = Path(__file__).parents[2] / "docs" / "traces.md"
DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("known", FORMATS, ids=[known.name for known in FORMATS])
def test_the_page_has_a_row_for_each_format(known: Format) -> None:
    assert f"| `{known.ending}` | {known.name} | {known.reader} |" in PAGE.read_text()


def test_the_page_has_the_expression_of_the_log() -> None:
    assert f"```\n{EXPRESSION}\n```" in PAGE.read_text()


def test_the_diagram_is_what_is_written() -> None:
    text = f"```mermaid\n{mermaid(counterexample('pointer-read-twice'))}```\n"
    if os.environ.get("PERCPU_EMU_REWRITE_GOLDEN"):
        PAGE.write_text(DIAGRAM.sub(lambda _: text, PAGE.read_text(), count=1))
    assert text in PAGE.read_text()
