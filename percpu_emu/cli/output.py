"""The JSON object on stdout: it stands there alone, whatever a program of the user's prints meanwhile."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from percpu_emu.report.result import Report

STDOUT: Final = 1
_kept: list[TextIO] = []
"""What stdout is for the object, while everything else that is printed goes to stderr."""


@contextmanager
def stdout_for_the_object() -> Iterator[None]:
    """Inside the block only `print_object` writes to stdout; everything else, in any process, goes to stderr."""
    stdout, descriptor = sys.stdout, os.dup(STDOUT)
    stdout.flush()
    os.dup2(2, STDOUT)
    _kept.append(os.fdopen(os.dup(descriptor), "w", encoding="utf-8") if _is_the_descriptor(stdout) else stdout)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout
        os.dup2(descriptor, STDOUT)
        os.close(descriptor)
        if (kept := _kept.pop()) is not stdout:
            kept.close()


def print_object(report: Report) -> None:
    """Print a report as one line of JSON. Raises BrokenPipeError where the reader has gone."""
    stdout = _kept[-1] if _kept else sys.stdout
    stdout.write(f"{report.model_dump_json()}\n")
    stdout.flush()


def _is_the_descriptor(stream: TextIO) -> bool:
    """Whether a stream writes to the process's stdout, and is not a test's."""
    try:
        return stream.fileno() == STDOUT
    except (OSError, ValueError):
        return False
