from __future__ import annotations

from pathlib import Path

from percpu_emu.cli.describe import describe
from percpu_emu.report.glossary import glossary_page, meanings, terms

DOCS = Path(__file__).parents[2] / "docs" / "glossary.md"


def test_the_docs_have_the_same_text() -> None:
    """Anew: percpu-emu show glossary > docs/glossary.md."""
    assert DOCS.read_text() == glossary_page() == describe("glossary") + "\n"


def test_no_spelling_has_two_meanings_and_long_ones_come_first() -> None:
    spellings = [spelling for term in terms() for spelling in (term.term, *term.also)]
    assert len(spellings) == len(set(spellings)) == len(meanings())
    lengths = [len(spelling) for spelling in meanings()]
    assert lengths == sorted(lengths, reverse=True)
