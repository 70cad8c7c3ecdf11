"""Small helps for messages: a counted noun, and the names that a wrong name may stand for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_emu.machine.faults import BadFault


def plural(count: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The names nearest to a wrong one, as a question; "" where none is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def allowed(name: object, known: Iterable[str], more: str = "") -> str:
    """All names that are known, and whatever else may be given; after them the nearest to a wrong one."""
    names = list(known)
    near = did_you_mean(str(name), names)
    return f"allowed: {', '.join(names)}{more}{f'; {near}' if near else ''}"


def said_of_fault(error: BadFault) -> str:
    """What is wrong with a fault; of a name that is nearly a known one, that one instead of all there are."""
    near = did_you_mean(error.wrong, error.known)
    return f"{error.found}; {near}" if near else str(error)


def encodable(text: str) -> str:
    """A text that JSON can hold: a path that is not UTF-8 has characters that it cannot."""
    return text.encode(errors="backslashreplace").decode()
