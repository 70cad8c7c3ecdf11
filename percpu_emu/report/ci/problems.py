"""What makes a report not green, each with the rule that it breaks and the place to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from percpu_emu.lang.checks import check_of
from percpu_emu.report.several import is_as_expected

if TYPE_CHECKING:
    from percpu_emu.report.result import Report, ReportedCheck

INCONCLUSIVE: Final = "inconclusive"
EXPECTATION: Final = "expectation"
ERROR: Final = "error"
SENTENCES: Final = {
    INCONCLUSIVE: "the scenario is not judged: nothing is proved, and no failure was found",
    EXPECTATION: "a scenario that expects a failure does not fail",
    ERROR: "the scenario cannot be loaded or tried",
}
"""What is wrong, for rules that are no checks of `lang.checks`."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a scenario."""

    scenario: str
    rule: str
    """Label of a check, or a key of SENTENCES, or the name of a line of the report as an identifier."""
    text: str
    file: str = ""
    """Path of the file to look at, "" for none."""
    line: int = 1


def scenarios_of(report: Report) -> list[Report]:
    """The reports of the single scenarios."""
    return report.scenarios or [report]


def problems(report: Report) -> list[Problem]:
    """Everything that is wrong in a report of one or several scenarios; nothing where all is as expected."""
    return [
        problem
        for one in scenarios_of(report)
        if not is_as_expected(one)
        for problem in list(_of_scenario(one)) or [_not_judged(one)]
    ]


def counterexample_fails(report: Report, check: ReportedCheck) -> bool:
    """Whether the counterexample is what a failed line of the report is about."""
    example = report.counterexample
    return example is not None and check.ok is False and check_of(example.check).group.name == check.name


def _of_scenario(report: Report) -> Iterator[Problem]:
    if report.error is not None:
        path = report.file or (report.subject if report.subject.endswith(".toml") else "")
        yield Problem(report.subject, ERROR, report.error.message, path)
        return
    failed = [check for check in report.checks if check.ok is False]
    for check in failed:
        yield _of_counterexample(report, check) if counterexample_fails(report, check) else _of_line(report, check)
    if not failed and report.as_expected is False:
        yield Problem(report.subject, EXPECTATION, report.expectation, report.file)


def _of_counterexample(report: Report, check: ReportedCheck) -> Problem:
    example = report.counterexample
    assert example is not None
    said = [check.detail, *([report.expectation] if report.expectation else []), f"Replay: {example.replay}"]
    file, line = (example.blamed[0].file, example.blamed[0].line) if example.blamed else (report.file, 1)
    return Problem(report.subject, example.check, "\n".join(said), file, line)


def _of_line(report: Report, check: ReportedCheck) -> Problem:
    rule = re.sub(r"[^a-z0-9]+", "-", check.name.lower()).strip("-")
    return Problem(report.subject, rule, f"{check.name}: {check.detail}", report.file)


def _not_judged(report: Report) -> Problem:
    reasons = dict.fromkeys([*report.notes, *(check.detail for check in report.checks if check.ok is None)])
    return Problem(report.subject, INCONCLUSIVE, "; ".join(reasons) or SENTENCES[INCONCLUSIVE], report.file)
