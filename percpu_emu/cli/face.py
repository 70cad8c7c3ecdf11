"""How a command gives its report: as text or as an object on stdout, and in the formats of CI systems."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from percpu_emu.cli import talk
from percpu_emu.cli.errors import SoFar, WrongArgument
from percpu_emu.cli.files import refuse_unwritable
from percpu_emu.cli.output import print_object

if TYPE_CHECKING:
    from rich.console import Console

    from percpu_emu.report.result import Report


@dataclass(frozen=True)
class Face:
    """What the command line asks for."""

    as_json: bool = False
    junit: Path | None = None
    sarif: Path | None = None
    github: bool = False
    width: int | None = None
    """Characters a line; None for those of the terminal."""
    quiet: bool = False
    """Whether the text is the verdict only."""
    log: Path | None = None

    @property
    def is_in_full(self) -> bool:
        """Whether the text is wanted, and all of it."""
        return not (self.as_json or self.quiet or talk.is_quiet())

    def give(self, report: Report, in_full: Callable[[Console], None]) -> None:
        """Give a report everywhere it is asked for; `in_full` prints its text."""
        self._write(report)
        if self.as_json:
            print_object(report)
        elif self.is_in_full:
            in_full(self.console())
        else:
            from percpu_emu.report.several import print_outcome

            print_outcome(self.console(), report)
        self._annotate(report)

    def begin(self, so_far: SoFar) -> None:
        """Check the options and begin the log; from here on CI systems get a report whatever happens.

        Raises WrongArgument for options that do not fit.
        """
        refuse_unwritable({"--junit": self.junit, "--sarif": self.sarif, "--log": self.log})
        self.columns_width()
        talk.add(quiet=self.quiet, log=self.log)
        so_far.hand_out = self._hand_out

    def _hand_out(self, report: Report) -> None:
        self._write(report)
        self._annotate(report)

    def console(self) -> Console:
        """Where the text goes."""
        from rich.console import Console

        return Console(width=self.width)

    def columns_width(self) -> int:
        """How wide a counterexample's columns are. Raises WrongArgument for less than they need."""
        from percpu_emu.report.columns import DEFAULT_WIDTH, MIN_WIDTH

        if self.width is not None:
            if self.width < MIN_WIDTH:
                raise WrongArgument(f"--width {self.width}: columns need {MIN_WIDTH} or more")
            return self.width
        console = self.console()
        return max(console.width, MIN_WIDTH) if console.is_terminal and not self.as_json else DEFAULT_WIDTH

    def _write(self, report: Report) -> None:
        if self.junit is not None:
            from percpu_emu.report.ci.junit import junit

            self.junit.write_text(junit(report), encoding="utf-8")
        if self.sarif is not None:
            from percpu_emu.report.ci.sarif import sarif

            self.sarif.write_text(sarif(report, Path.cwd()), encoding="utf-8")

    def _annotate(self, report: Report) -> None:
        """On stdout; where the object stands there, on stderr."""
        if self.github:
            from percpu_emu.report.ci.github import github

            text = github(report, Path.cwd()).encode(errors="backslashreplace").decode()
            (sys.stderr if self.as_json else sys.stdout).write(text)
