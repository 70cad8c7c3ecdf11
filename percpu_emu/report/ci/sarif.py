"""A report as SARIF 2.1.0: a rule for each check, a result for everything that is wrong, at the step to blame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from percpu_emu import __version__
from percpu_emu.lang.checks import Check
from percpu_emu.report.ci.paths import uri
from percpu_emu.report.ci.problems import ERROR, SENTENCES, Problem, problems

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_emu.report.result import Report

VERSION: Final = "2.1.0"
SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(report: Report, root: Path) -> str:
    """The text of the file. Files are told from `root`, the top of the repository.

    An inconclusive scenario is an error, too: at a lower level, CI systems would take it for green.
    """
    found = problems(report)
    rules = _rules(found)
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    errors = [problem.text for problem in found if problem.rule == ERROR]
    invocation = {
        "executionSuccessful": not errors,
        "toolExecutionNotifications": [{"level": "error", "message": {"text": text}} for text in errors],
    }
    run = {
        "tool": {"driver": {"name": "percpu-emu", "version": __version__, "rules": rules}},
        "invocations": [invocation],
        "results": [_result(problem, numbers, root) for problem in found],
    }
    return f"{json.dumps({'$schema': SCHEMA, 'version': VERSION, 'runs': [run]}, indent=2)}\n"


def _rules(found: Iterable[Problem]) -> list[dict[str, Any]]:
    """A rule for each check, for what is no check, and for each line of a report that failed."""
    sentences = {check.label: check.sentence for check in Check} | SENTENCES
    of_lines = {problem.rule: f"the line {problem.rule} of the report failed" for problem in found}
    return [
        {"id": rule, "shortDescription": {"text": sentence}, "defaultConfiguration": {"level": "error"}}
        for rule, sentence in (of_lines | sentences).items()
    ]


def _result(problem: Problem, numbers: dict[str, int], root: Path) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": problem.rule,
        "ruleIndex": numbers[problem.rule],
        "level": "error",
        "message": {"text": f"{problem.scenario}: {problem.text}"},
    }
    if problem.file:
        place = {"artifactLocation": {"uri": uri(problem.file, root)}, "region": {"startLine": problem.line}}
        result["locations"] = [{"physicalLocation": place}]
    return result
