"""One exploration of a command: load a scenario, search with progress on stderr, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from percpu_emu.cli.errors import SoFar
from percpu_emu.cli.progress import search_progress
from percpu_emu.explore.strategies import Explored, Options, explore
from percpu_emu.explore.subject import Subject
from percpu_emu.report.exploration_report import report_of
from percpu_emu.report.result import Report
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of


@dataclass(frozen=True)
class Request:
    """How to explore a scenario, as the command line says."""

    options: Options
    overrides: Mapping[str, Any]
    turns: int | None = None
    prefix: str | None = None
    """Token of a schedule to begin with."""


def explored(command: str, name: str, request: Request, so_far: SoFar, width: int) -> tuple[Explored, Report]:
    """The exploration of a scenario, with its report, whose columns have that width. Raises what loading it raises."""
    loaded = load(name, request.overrides)
    subject, options = _with_prefix(name, subject_of(loaded, request.turns), request)
    with search_progress(subject.name, so_far.figures) as progress:
        found = explore(subject, options, progress)
    return found, report_of(found, command, loaded.path, width)


def _with_prefix(name: str, subject: Subject, request: Request) -> tuple[Subject, Options]:
    if request.prefix is None:
        return subject, request.options
    from percpu_emu.explore.token import Token
    from percpu_emu.scenario.replaying import schedule_in, subject_of_token

    token = Token.parse(request.prefix)
    subject = subject_of_token(token, name)
    return subject, replace(request.options, prefix=schedule_in(token, subject).schedule)
