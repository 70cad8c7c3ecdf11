"""Checks and the verdict over them. Only `verdict_of` says "pass"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: Final = {"pass": 0, "fail": 1, "inconclusive": 1}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what was seen."""

    name: str
    ok: bool
    detail: str


def verdict_of(checks: Sequence[Check], cut_short: str | None) -> Verdict:
    """Fail if a check failed; inconclusive if the run was cut short (that says why) or nothing was checked."""
    if any(not check.ok for check in checks):
        return "fail"
    if cut_short is not None or not checks:
        return "inconclusive"
    return "pass"
