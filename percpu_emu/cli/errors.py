"""Errors for people: one message that says what happened, and the exit code that goes with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import typer

Kind: TypeAlias = Literal["input", "environment", "interrupted", "failed"]
INPUT: Final = 2
ENVIRONMENT: Final = 3
INTERRUPTED: Final = 130
TERMINATED: Final = 143


class MissingExtra(Exception):
    """A command needs packages that are not installed."""


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt it is no Exception: nobody but the command line catches it."""


@contextmanager
def errors_for_people(command: str, subject: str, *, as_json: bool) -> Iterator[None]:
    """Turn what the user or the environment got wrong into a message on stderr and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as error:
        terminated = isinstance(error, Terminated)
        message = f"{'terminated' if terminated else 'interrupted'}: every CPU process is ended, nothing is left behind"
        _say(command, subject, "interrupted", message, as_json)
        raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from error
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(0) from None
    except typer.Exit:
        raise
    except Exception as error:
        found = _classify(error)
        if found is None:
            raise
        kind, code = found
        _say(command, subject, kind, _message(error), as_json)
        raise typer.Exit(code) from error


def _message(error: Exception) -> str:
    """What the operating system refuses without our asking by name has an errno and no sentence."""
    if isinstance(error, OSError) and error.strerror:
        what = f" ({error.filename})" if error.filename else ""
        return f"the operating system refused what is needed{what}: {error.strerror}"
    return str(error)


def _classify(error: Exception) -> tuple[Kind, int] | None:
    from percpu_emu.explore.model import SetupFailed
    from percpu_emu.explore.token import BadToken
    from percpu_emu.lang.source import Refused
    from percpu_emu.machine import CgroupError, CpuDied, NoMemory, StartFailed, Trapped
    from percpu_emu.machine.faults import BadFault
    from percpu_emu.replay import ReplayFailed
    from percpu_emu.scenario.load import ScenarioError
    from percpu_emu.shm import OutOfPages

    if isinstance(error, StartFailed | OutOfPages | NoMemory | OSError | MissingExtra):
        return "environment", ENVIRONMENT
    if isinstance(error, ScenarioError | Refused | CgroupError | LookupError | BadToken | SetupFailed | BadFault):
        return "input", INPUT
    if isinstance(error, CpuDied | ReplayFailed | Trapped):
        return "failed", 1
    return None


def _say(command: str, subject: str, kind: Kind, message: str, as_json: bool) -> None:
    # an argument that is no UTF-8 comes with characters that JSON cannot hold
    subject, message = (text.encode(errors="backslashreplace").decode() for text in (subject, message))
    if as_json:
        from percpu_emu.report.result import Report, ReportedError

        failure = ReportedError(kind=kind, message=message)
        report = Report(command=command, subject=subject, verdict="inconclusive", scope={}, checks=[], error=failure)
        typer.echo(report.model_dump_json())
    typer.echo(f"percpu-emu: {message}", err=True)
