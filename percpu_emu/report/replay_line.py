"""The command that replays a schedule, as a shell takes it."""

from __future__ import annotations

import os
import shlex
import textwrap
from typing import TYPE_CHECKING, Final

from percpu_emu.scenario.decorator import SESSION
from percpu_emu.scenario.finding import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.lang.trace import Trace

_IN_A_FILE: Final = "in this session; saved as a file, also: percpu-emu replay TOKEN --scenario FILE.py"


def replay_line(trace: Trace) -> str:
    """The command on one line; for what was declared in a session, the call."""
    return _call(trace) or " ".join(map(quoted, _words(trace)))


def replay_lines(trace: Trace, width: int) -> list[str]:
    """The command in lines of at most that width, if its words allow; the call in one, and how there is a command."""
    if call := _call(trace):
        return [f"Replay: {call}", *textwrap.wrap(_IN_A_FILE, width, initial_indent="  ", subsequent_indent="  ")]
    return folded_line("Replay: ", _words(trace), width)


def _words(trace: Trace) -> list[str]:
    return ["percpu-emu", "replay", trace.token, *(["--scenario", trace.file] if trace.file else [])]


def _call(trace: Trace) -> str:
    """How a session replays what it declares, "" for what is in a file."""
    session, _, name = trace.file.partition(SEPARATOR)
    return f'percpu_emu.replay("{trace.token}", {name})' if session == SESSION else ""


def folded_line(before: str, words: Sequence[str], width: int) -> list[str]:
    """The command in lines that a shell reads as one, none of them longer than the width."""
    lines, line = list[str](), before + quoted(words[0])
    for number, word in enumerate(words[1:], 1):
        ending = 0 if number == len(words) - 1 else len(" \\")
        if len(line) + 1 + len(quoted(word)) + ending <= width:
            line += f" {quoted(word)}"
            continue
        lines.append(f"{line} \\")
        line, rest = "  ", word
        while len(line) + len(quoted(rest)) + ending > width:
            part = _longest(rest, width - len(line) - 1)
            lines.append(f"{line}{quoted(part)}\\")
            line, rest = "", rest[len(part) :]
        line += quoted(rest)
    return [*lines, line]


def _longest(word: str, room: int) -> str:
    """As much of a word's beginning as fits with its quotes."""
    return next(word[:end] for end in range(len(word), 0, -1) if len(quoted(word[:end])) <= room or end == 1)


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
