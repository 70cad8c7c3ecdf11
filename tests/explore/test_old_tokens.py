"""Tokens of every format that there was, and what becomes of them.

A token here stops to replay where the schedule is written otherwise, contexts are numbered otherwise, or programs have
another digest: tokens in bug reports stop as well, so that is a new format (`explore.token.FORMAT`). Its own tokens are
added, and those of the old one either still replay or say why not.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from percpu_emu.explore.token import FORMAT, BadToken, Token
from percpu_emu.scenario.replaying import replay_token, schedule_in, subject_of_token

TOKENS = Path(__file__).parent / "tokens"
FORMAT_1 = [
    ("format-1:__h3.SowY", "final", "0*72 1*69 3*7 1*3 4*1"),
    ("format-1+1111:_73.gcMj", "final", "0*36 1*33 3*7 1*3 4*1"),
    ("format-1+11111~3:.yIG9", "final", "0*36 1*36 2*36 4*7 5*1"),
    ("format-1:_T=1a28-01.SowY", "", "0*72 1*45 4097*1 1*9 2*8 65*1 2*4 1*18 3*7 4*1"),
    ("format-1:r31=0Q-01_c2.SowY", "", "0*27 3*1 4096*1 0*45 1*6 65*1 1*66 3*6 4*1 2*12"),
]

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@pytest.mark.parametrize(("text", "check", "schedule"), FORMAT_1)
def test_a_token_of_format_1_is_the_schedule_that_it_was(text: str, check: str, schedule: str) -> None:
    token = Token.parse(text)
    found = schedule_in(token, subject_of_token(token, str(TOKENS / "format_1.py")))
    assert " ".join(f"{choice}*{len(list(group))}" for choice, group in groupby(found.schedule)) == schedule
    assert found.check == check


def test_an_old_token_replays_on_processes() -> None:
    done = replay_token(FORMAT_1[0][0], str(TOKENS / "format_1.py"))
    assert done.difference is None


def test_the_formats_that_there_are_have_their_tokens_here() -> None:
    assert {path.stem for path in TOKENS.glob("*.py")} == {f"format_{number}" for number in range(1, FORMAT + 1)}


@pytest.mark.parametrize("text", ["flush-then-swap:0140.MAHG@7", "flush-then-swap;[other=form]@7"])
def test_a_token_of_a_later_format_says_so(text: str) -> None:
    with pytest.raises(BadToken, match=f"format 7; this version reads format {FORMAT}"):
        Token.parse(text)


def test_the_first_format_is_not_written() -> None:
    assert str(Token.parse("flush-then-swap:0140.MAHG@1")) == "flush-then-swap:0140.MAHG"
