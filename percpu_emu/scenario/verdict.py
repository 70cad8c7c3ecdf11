"""Checks, the verdict over them, and the exit code. Only `verdict_of` says "pass"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from percpu_emu.scenario.exits import Exit

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: Final = {"pass": Exit.PASSED, "fail": Exit.FAILED, "inconclusive": Exit.INCONCLUSIVE}


RESULTS: Final = {True: "ok", False: "FAILED", None: "not judged"}
"""A check's result in words."""


@dataclass(frozen=True)
class Check:
    """One property and its result: True for ok, False for failed, None for not judged, for the reason in `detail`."""

    name: str
    ok: bool | None
    detail: str
    needed: bool = True
    """Whether a pass needs it."""


def verdict_of(checks: Sequence[Check], cut_short: str | None) -> Verdict:
    """Fail if a check failed; pass if the run was not cut short and every check that a pass needs is ok."""
    if any(check.ok is False for check in checks):
        return "fail"
    needed = [check for check in checks if check.needed]
    if cut_short is None and needed and all(check.ok for check in needed):
        return "pass"
    return "inconclusive"


@dataclass(frozen=True)
class Foreseen:
    """The check that a scenario is expected to fail, and the one that failed; "" for none."""

    expected: str
    found: str

    @property
    def as_expected(self) -> bool:
        """Whether exactly that check failed."""
        return self.expected == self.found

    def __str__(self) -> str:
        if self.as_expected:
            return f"expected: {self.expected}, found: {self.found}"
        return f"expected {self.expected}, found {self.found or 'nothing'}"


def exit_code(verdict: Verdict, as_expected: bool | None = None) -> int:
    """Where a failure is expected, 0 for exactly that one and 1 for anything else."""
    return EXIT_CODES[verdict] if as_expected is None else Exit.PASSED if as_expected else Exit.FAILED
