"""`percpu-emu explore` and `mutants`: which scenarios, and the report of a single one."""

from __future__ import annotations

from collections.abc import Sequence

from percpu_emu.cli.errors import SoFar, WrongArgument
from percpu_emu.cli.face import Face
from percpu_emu.cli.searching import Request, explored
from percpu_emu.cli.several import explore_several
from percpu_emu.cli.trace_files import TraceFiles
from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Options
from percpu_emu.report.exploration_report import print_explored
from percpu_emu.scenario.collecting import means_one, mutants
from percpu_emu.scenario.verdict import exit_code

MUTANT_SECONDS = 30.0


def explore_and_report(names: Sequence[str], request: Request, so_far: SoFar, face: Face, *, files: TraceFiles) -> int:
    """Explore what the names mean; the report on stdout, progress on stderr. The exit code."""
    if len(names) == 1 and means_one(names[0]):
        return _explore_one(names[0], request, so_far, face, files)
    for option, value in (("--html", files.page), ("--trace", files.export), ("--prefix", request.prefix)):
        if value is not None:
            raise WrongArgument(f"{option} is for a single scenario; name one, by its name or its path")
    return explore_several("explore", names, request, so_far, face)


def mutants_and_report(names: Sequence[str], so_far: SoFar, face: Face) -> int:
    """Explore broken protocols and their fixed versions, those that ship by default. The exit code."""
    request = Request(Options(budget=Budget(seconds=MUTANT_SECONDS)), {})
    return explore_several("mutants", names or mutants(), request, so_far, face)


def _explore_one(name: str, request: Request, so_far: SoFar, face: Face, files: TraceFiles) -> int:
    found, report = explored("explore", name, request, so_far, face.columns_width())
    report.notes += files.write(found.counterexample.trace if found.counterexample else None)
    face.give(report, lambda console: print_explored(console, report, found.subject.summary))
    return exit_code(report.verdict, report.as_expected)
