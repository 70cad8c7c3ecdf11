"""Markdown from rows: a table, a list, a cell that no sign in it can break."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, a line for each row."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell(text) for text in line)} |" for line in lines)


def cell(text: str) -> str:
    """A text that stands in one cell: on one line, with no bar that ends the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def bullets(texts: Iterable[str]) -> str:
    """A list, a line for each text."""
    return "\n".join(f"* {text}" for text in texts)


def code(text: str) -> str:
    """A text as code."""
    return f"`{text}`"


def page(title: str, *parts: str) -> str:
    """A page: its title, then the parts, a blank line between them."""
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"


def upper_first(text: str) -> str:
    """The text with a capital at its beginning, as the first word of a sentence has it."""
    return text[:1].upper() + text[1:]
