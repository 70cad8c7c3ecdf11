"""Errors for people: one message that says what happened, and the exit code that goes with it."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import typer

from percpu_emu.cli.output import STDOUT, print_object, stdout_for_the_object
from percpu_emu.scenario.exits import Exit
from percpu_emu.scenario.wording import encodable

if TYPE_CHECKING:
    from percpu_emu.report.result import Report

Kind: TypeAlias = Literal["input", "environment", "interrupted", "failed", "fault"]
"""`fault`: of percpu-emu itself."""
_CODES: Final = {"input": Exit.INPUT, "environment": Exit.ENVIRONMENT, "failed": Exit.FAILED}
SEARCH: Final = "the search: half a minute"
PROGRAMS: Final = "what CPU processes run: some seconds"
"""What a command compiles, and for how long where the machine has nothing else to do."""
_A_FAULT: Final = "a fault of percpu-emu, so there is no verdict; please report it with the lines above"


class MissingExtra(Exception):
    """A command needs packages that are not installed."""


class WrongArgument(Exception):
    """An argument of the command line names nothing that exists, or does not fit the others."""


@dataclass
class SoFar:
    """What a command has done so far: reported where it is interrupted."""

    figures: dict[str, Any] = field(default_factory=dict)
    hand_out: Callable[[Report], None] | None = None
    """What gives the report to others, such as a file for CI: also that of a command without a result."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. It ends a command as Ctrl-C does, with an exit code of its own."""


@contextmanager
def errors_for_people(command: str, subject: str, *, as_json: bool, compiles: str = "") -> Iterator[SoFar]:
    """Turn what the user or the environment got wrong into a message on stderr and an exit code.

    The command enters its figures in the object that this gives: an interrupt reports them. `compiles`: what it may
    have to compile, which is said where it takes long.
    """
    start, so_far = time.monotonic(), SoFar()

    def say(failure: Failure) -> None:
        _say(command, subject, failure, time.monotonic() - start, so_far, as_json=as_json)

    try:
        with stdout_for_the_object() if as_json else nullcontext(), _compiling_told(compiles):
            yield so_far
            sys.stdout.flush()  # a disk that is full, a reader that has gone: known here, and not at the end of Python
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        message = f"{'terminated' if terminated else 'interrupted'}: every CPU process is ended, nothing is left behind"
        code = Exit.TERMINATED if terminated else Exit.INTERRUPTED
        say(Failure("interrupted", message, code))
        raise typer.Exit(code) from error
    except (BrokenPipeError, SystemExit):  # rich makes the latter of the former, with the code of a failed check
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for what Python flushes at its end
        raise typer.Exit(Exit.BROKEN_PIPE) from None
    except typer.Exit:
        raise
    except Exception as error:
        failure = failure_of(error)
        say(failure)
        raise typer.Exit(failure.code) from error


def refuse_together(context: typer.Context, option: str, *others: str) -> None:
    """Raise WrongArgument where the command line has one of the others beside `option`, which says it already."""
    for name in others:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise WrongArgument(f"{option} takes that from this host: leave --{name.replace('_', '-')} out")


def _compiling_told(what: str) -> AbstractContextManager[None]:
    if not what:
        return nullcontext()
    from percpu_emu.cli.compiling import compiling_told  # which imports numba

    return compiling_told(what)


def refuse_usage(message: str) -> int:
    """Say what is wrong with the command line, in an object, too, as it asks for one; the exit code."""
    words = sys.argv[1:]
    command = next((word for word in words if not word.startswith("-")), "")
    _say(command, " ".join(words), Failure("input", message, Exit.INPUT), 0.0, SoFar(), as_json=True)
    return Exit.INPUT


@dataclass(frozen=True)
class Failure:
    """Why there is no result, and the exit code that says so."""

    kind: Kind
    message: str
    code: int


def failure_of(error: Exception) -> Failure:
    """What an error is to the user. One of percpu-emu itself has its traceback printed."""
    from percpu_emu.api.errors import sentence_of

    kind, code = _classify(error)
    if kind == "fault":
        traceback.print_exception(error)
        return Failure(kind, f"{_A_FAULT}: {type(error).__name__}: {error}", code)
    return Failure(kind, sentence_of(error), code)


def report_of_failure(command: str, subject: str, failure: Failure, seconds: float, figures: dict[str, Any]) -> Report:
    """The report of a command that has no result."""
    from percpu_emu.report.result import Report, ReportedError

    return Report(
        command=command,
        subject=subject,
        verdict="fail" if failure.kind == "failed" else "inconclusive",
        scope={},
        checks=[],
        figures=figures,
        seconds=round(seconds, 3),
        error=ReportedError(kind=failure.kind, message=failure.message),
    )


def _classify(error: Exception) -> tuple[Kind, int]:
    from percpu_emu.api.errors import kind_of

    if isinstance(error, MissingExtra):
        return "environment", Exit.ENVIRONMENT
    if isinstance(error, WrongArgument):
        return "input", Exit.INPUT
    kind = kind_of(error)
    return (kind, _CODES[kind]) if kind is not None else ("fault", Exit.INCONCLUSIVE)


def _say(command: str, subject: str, failure: Failure, seconds: float, so_far: SoFar, *, as_json: bool) -> None:
    if as_json or so_far.hand_out is not None:
        report = report_of_failure(command, subject, failure, seconds, so_far.figures)
        with suppress(OSError):  # the message below says what is wrong with stdout, or with a file
            if so_far.hand_out is not None:
                so_far.hand_out(report)
        with suppress(OSError):
            if as_json:
                print_object(report)
    if not as_json and so_far.figures and failure.kind == "interrupted":
        typer.echo(f"percpu-emu: after {seconds:.1f} s: {_listed(so_far.figures)}", err=True)
    typer.echo(f"percpu-emu: {encodable(failure.message)}", err=True)


def _listed(figures: Mapping[str, Any], prefix: str = "") -> str:
    """The numbers among the figures, on a line."""
    parts = [
        _listed(value, f"{prefix}{key} ") if isinstance(value, Mapping) else f"{prefix}{key.replace('_', ' ')} {value}"
        for key, value in figures.items()
    ]
    return ", ".join(part for part in parts if part)
