"""The command that replays a schedule, as a shell takes it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace


def replay_words(trace: Trace) -> list[str]:
    """Its words, not quoted."""
    return ["percpu-emu", "replay", trace.token, *(["--scenario", trace.file] if trace.file else [])]


def replay_line(trace: Trace) -> str:
    """The command on one line."""
    return " ".join(map(quoted, replay_words(trace)))


def quoted(word: str) -> str:
    """A word as a shell takes it; what no terminal shows is escaped, for bash, zsh and ksh."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = (_escaped(character) for character in word)
    return f"$'{''.join(escaped)}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
