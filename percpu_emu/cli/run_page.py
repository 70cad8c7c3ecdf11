"""The page of `run --html FILE`: of a run that came to its end, and of one that was cut short."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import typer

from percpu_emu.cli.errors import SoFar
from percpu_emu.report.replay_line import quoted
from percpu_emu.report.result import Report
from percpu_emu.report.run_page import page
from percpu_emu.report.run_series import RunSeries
from percpu_emu.scenario.load import Loaded
from percpu_emu.scenario.wording import encodable


@dataclass
class RunPage:
    """The page to come. Wrong input makes none."""

    path: Path
    series: RunSeries = field(default_factory=RunSeries)
    """Listens to the run."""
    loaded: Loaded | None = None
    """The scenario, once it is."""

    def write(self, report: Report) -> None:
        """Write it; a note of the report says so."""
        self._write(report)
        report.notes.append(f"{encodable(str(self.path))}: open it in a browser")

    def stand_by(self, so_far: SoFar) -> None:
        """Write it where the command ends without a result, too, as what it is: a run that was cut short."""
        others = so_far.hand_out

        def hand_out(report: Report) -> None:
            if others is not None:
                others(report)
            if report.error is not None and report.error.kind != "input":
                self._say(self._write_what_there_is(report))

        so_far.hand_out = hand_out

    def _write_what_there_is(self, report: Report) -> str:
        if self.loaded is None or report.error is None:
            return "no page is written: nothing has run"
        parts = {name: found for name, found in report.figures.items() if isinstance(found, dict)}
        came_to = [f"it came to: {report.figures['progress']}"] if "progress" in report.figures else []
        machine = self.loaded.scenario.machine
        shown = {
            "subject": self.loaded.scenario.name,
            "file": self.loaded.path,
            "scope": {"cpus": machine.cpus, "nodes": machine.nodes, "kernel": machine.kernel},
            "figures": parts,
            "notes": [report.error.message, *came_to],
        }
        try:
            self._write(report.model_copy(update=shown))
        except OSError as error:
            return f"no page is written: {error.strerror}"
        return "what was done until then, in a browser"

    def _write(self, report: Report) -> None:
        assert self.loaded is not None
        command = " ".join(map(quoted, ["percpu-emu", *sys.argv[1:]]))
        text = page(report, self.series, summary=self.loaded.scenario.summary, command=command)
        self.path.write_text(text, encoding="utf-8")

    def _say(self, text: str) -> None:
        typer.echo(f"percpu-emu: {encodable(str(self.path))}: {text}", err=True)
