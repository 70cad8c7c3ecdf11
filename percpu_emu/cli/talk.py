"""Where progress and log lines go: to stderr, to a file, or nowhere."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

_LOG_WIDTH: Final = 10_000
"""A line of a log is a line, however long."""


@dataclass
class _Talk:
    """What options say, those before the command and the command's own."""

    quiet: bool = False
    log: Path | None = None
    stream: TextIO | None = None


_talk = _Talk()


def begin(*, verbose: bool, quiet: bool, log: Path | None) -> None:
    """Note the options before the command; the package's log says warnings, and with `verbose` what it passes over."""
    _talk.quiet, _talk.log, _talk.stream = quiet, log, None
    package = logging.getLogger("percpu_emu")
    package.handlers = [_handler(None)]
    package.setLevel(logging.DEBUG if verbose else logging.WARNING)


def add(*, quiet: bool, log: Path | None) -> None:
    """Add those of the command, and begin the file. Raises OSError where it cannot be written."""
    _talk.quiet, _talk.log = quiet or _talk.quiet, log or _talk.log
    if _talk.log is not None:
        _talk.stream = _talk.log.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)
        logging.getLogger("percpu_emu").handlers = [_handler(_talk.stream)]


def is_quiet() -> bool:
    """Whether only the verdict is to be printed."""
    return _talk.quiet


def has_log() -> bool:
    """Whether progress is to be lines of a file."""
    return _talk.stream is not None


def console() -> Console:
    """What progress and log lines are printed on."""
    from rich.console import Console

    if _talk.stream is not None:
        return Console(file=_talk.stream, width=_LOG_WIDTH, color_system=None, force_terminal=False)
    return Console(stderr=True, quiet=_talk.quiet)


def _handler(stream: TextIO | None) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("percpu-emu: %(message)s"))
    return handler
