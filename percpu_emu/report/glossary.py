"""The glossary: the words of the field, the same text in the docs, on the terminal and where a pointer rests."""

from __future__ import annotations

import textwrap
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_TITLE = "Glossary"


@dataclass(frozen=True)
class Term:
    """A word, other spellings of it, and what it means in a sentence or two."""

    term: str
    text: str
    also: tuple[str, ...] = ()


@cache
def terms() -> tuple[Term, ...]:
    """All of them, in the order in which they build on each other."""
    text = (files(__package__ or "percpu_emu.report") / "glossary.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)["term"]
    return tuple(Term(entry["term"], entry["text"], tuple(entry.get("also", ()))) for entry in found)


def glossary_page() -> str:
    """The page of the docs."""
    entries = [textwrap.fill(f"**{term.term}**: {term.text}", 120) for term in terms()]
    return "\n\n".join([f"# {_TITLE}", *entries]) + "\n"


def meanings() -> dict[str, str]:
    """Every spelling with its meaning, the longest first, as a text is searched for them."""
    found = {spelling: term.text for term in terms() for spelling in (term.term, *term.also)}
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))
