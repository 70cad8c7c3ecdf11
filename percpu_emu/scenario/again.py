"""A schedule that failed before, taken again before a search: most of the time it still fails, and shows it at once."""

from __future__ import annotations

import time
from typing import Final

from percpu_emu.explore.strategies import Explored, Options
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.token import BadToken, Token
from percpu_emu.scenario.replaying import schedule_in

AGAIN: Final = "the schedule of an earlier failure fails again, so there was no search"


def explored_again(subject: Subject, text: str) -> Explored | None:
    """An exploration of the token's schedule alone, in the virtual engine.

    None where the schedule breaks no check now, and where the token is none of these programs.
    """
    start = time.perf_counter()
    try:
        example = schedule_in(Token.parse(text), subject)
    except BadToken:
        return None
    if not example.check:
        return None
    seconds = round(time.perf_counter() - start, 6)
    figures = {
        "executions": 1,
        "states": 0,
        "steps": len(example.schedule),
        "search_seconds": seconds,
        "seconds": seconds,
    }
    return Explored(
        subject, Options(), False, AGAIN, counterexample=example, figures=figures, reduction={"on": False}, unreached=()
    )
