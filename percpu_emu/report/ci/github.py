"""A report as annotations of GitHub Actions: a workflow command a line for everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from percpu_emu.report.ci.paths import from_root
from percpu_emu.report.ci.problems import Problem, problems

if TYPE_CHECKING:
    from percpu_emu.report.result import Report


def github(report: Report, root: Path) -> str:
    """The lines, for a log; "" where nothing is wrong. Files are told from `root`, the top of the repository."""
    return "".join(f"{_command(problem, root)}\n" for problem in problems(report))


def _command(problem: Problem, root: Path) -> str:
    place = {"file": from_root(problem.file, root), "line": str(problem.line)} if problem.file else {}
    properties = {**place, "title": f"{problem.scenario}: {problem.rule}"}
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {said}::{_data(problem.text)}"


def _data(text: str) -> str:
    """As the runner decodes it: a line's end would end the command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The same for a property, which a comma and a colon end, too."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
