"""Errors for people: one message that says what happened, and the exit code that goes with it."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import typer

from percpu_emu.cli.output import STDOUT, for_json, print_object, stdout_for_the_object

Kind: TypeAlias = Literal["input", "environment", "interrupted", "failed", "fault"]
"""`fault`: of percpu-emu itself."""
FAILED: Final = 1
INPUT: Final = 2
ENVIRONMENT: Final = 3
INCONCLUSIVE: Final = 4
INTERRUPTED: Final = 130
TERMINATED: Final = 143
BROKEN_PIPE: Final = 141
"""As of a process that SIGPIPE ends: no reader is left for the verdict."""
_CODES: Final = {"input": INPUT, "environment": ENVIRONMENT, "failed": FAILED}
_A_FAULT: Final = "a fault of percpu-emu, so there is no verdict; please report it with the lines above"


class MissingExtra(Exception):
    """A command needs packages that are not installed."""


class WrongArgument(Exception):
    """An argument of the command line names nothing that exists, or does not fit the others."""


@dataclass
class SoFar:
    """What a command has done so far: reported where it is interrupted."""

    figures: dict[str, Any] = field(default_factory=dict)


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. It ends a command as Ctrl-C does, with an exit code of its own."""


@contextmanager
def errors_for_people(command: str, subject: str, *, as_json: bool) -> Iterator[SoFar]:
    """Turn what the user or the environment got wrong into a message on stderr and an exit code.

    The command enters its figures in the object that this gives: an interrupt reports them.
    """
    start, so_far = time.monotonic(), SoFar()

    def say(kind: Kind, message: str) -> None:
        _say(command, subject, _Failure(kind, message, time.monotonic() - start, so_far.figures), as_json)

    try:
        with stdout_for_the_object() if as_json else nullcontext():
            yield so_far
            sys.stdout.flush()  # a disk that is full, a reader that has gone: known here, and not at the end of Python
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        message = f"{'terminated' if terminated else 'interrupted'}: every CPU process is ended, nothing is left behind"
        say("interrupted", message)
        raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from error
    except (BrokenPipeError, SystemExit):  # rich makes the latter of the former, with the code of a failed check
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for what Python flushes at its end
        raise typer.Exit(BROKEN_PIPE) from None
    except typer.Exit:
        raise
    except Exception as error:
        from percpu_emu.api.errors import sentence_of

        kind, code = _classify(error)
        if kind == "fault":
            traceback.print_exception(error)
        say(kind, sentence_of(error) if kind != "fault" else f"{_A_FAULT}: {type(error).__name__}: {error}")
        raise typer.Exit(code) from error


def refuse_usage(message: str) -> int:
    """Say what is wrong with the command line, in an object, too, as it asks for one; the exit code."""
    words = sys.argv[1:]
    command = next((word for word in words if not word.startswith("-")), "")
    _say(command, " ".join(words), _Failure("input", message, 0.0, {}), as_json=True)
    return INPUT


def _classify(error: Exception) -> tuple[Kind, int]:
    from percpu_emu.api.errors import kind_of

    if isinstance(error, MissingExtra):
        return "environment", ENVIRONMENT
    if isinstance(error, WrongArgument):
        return "input", INPUT
    kind = kind_of(error)
    return (kind, _CODES[kind]) if kind is not None else ("fault", INCONCLUSIVE)


@dataclass(frozen=True)
class _Failure:
    """Why there is no result, after so many seconds and with these figures."""

    kind: Kind
    message: str
    seconds: float
    figures: dict[str, Any]


def _say(command: str, subject: str, failure: _Failure, as_json: bool) -> None:
    subject, message = for_json(subject), for_json(failure.message)
    if as_json:
        from percpu_emu.report.result import Report, ReportedError

        report = Report(
            command=command,
            subject=subject,
            verdict="fail" if failure.kind == "failed" else "inconclusive",
            scope={},
            checks=[],
            figures=failure.figures,
            seconds=round(failure.seconds, 3),
            error=ReportedError(kind=failure.kind, message=message),
        )
        with suppress(OSError):  # the message below says what is wrong with stdout
            print_object(report)
    elif failure.figures and failure.kind == "interrupted":
        typer.echo(f"percpu-emu: after {failure.seconds:.1f} s: {_listed(failure.figures)}", err=True)
    typer.echo(f"percpu-emu: {message}", err=True)


def _listed(figures: Mapping[str, Any], prefix: str = "") -> str:
    """The numbers among the figures, on a line."""
    parts = [
        _listed(value, f"{prefix}{key} ") if isinstance(value, Mapping) else f"{prefix}{key.replace('_', ' ')} {value}"
        for key, value in figures.items()
    ]
    return ", ".join(part for part in parts if part)
