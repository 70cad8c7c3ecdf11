"""The files that `explore` and `replay` write of one trace: a page to step through, and a trace for another tool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from percpu_emu.cli.errors import WrongArgument
from percpu_emu.cli.files import refuse_unwritable
from percpu_emu.lang.trace import Trace
from percpu_emu.report.export.formats import FORMATS, Format
from percpu_emu.report.stepper import html
from percpu_emu.scenario.wording import encodable


@dataclass(frozen=True)
class TraceFiles:
    """Where to write a trace, and how."""

    page: Path | None
    export: Path | None
    format: Format | None
    """Of the export."""

    def write(self, trace: Trace | None) -> list[str]:
        """Write what there is; a note for each file, also for one that is not written as there is no trace."""
        if trace is None:
            paths = [encodable(str(path)) for path in (self.page, self.export) if path is not None]
            return [f"no counterexample, so {path} was not written" for path in paths]
        return list(self._written(trace))

    def _written(self, trace: Trace) -> Iterator[str]:
        if self.page is not None:
            self.page.write_text(html(trace), encoding="utf-8")
            yield f"{encodable(str(self.page))}: step through it in a browser"
        if self.export is not None and self.format is not None:
            self.export.write_text(self.format.render(trace), encoding="utf-8")
            yield f"{encodable(str(self.export))}: open it with {self.format.reader}"


def trace_files(page: Path | None, export: Path | None, name: str | None) -> TraceFiles:
    """The files, from the words of the command line. Raises WrongArgument where one cannot be written."""
    if export is None and name is not None:
        raise WrongArgument(f"--trace-format {name}: it is the format of --trace FILE, which is missing")
    if page is not None and page == export:
        raise WrongArgument(f"--html and --trace name the same file, {page}")
    refuse_unwritable({"--html": page, "--trace": export})
    return TraceFiles(page, export, None if export is None else _format(export, name))


def _format(path: Path, name: str | None) -> Format:
    """The format of that name; without one, the format that the file's ending says."""
    for known in FORMATS:
        if name == known.name or (name is None and path.suffix == known.ending):
            return known
    if name is not None:
        raise WrongArgument(f"--trace-format {name}: there are {', '.join(known.name for known in FORMATS)}")
    endings = ", ".join(f"{known.ending} ({known.name})" for known in FORMATS)
    raise WrongArgument(f"--trace {path}: the ending says the format: {endings}; or name it with --trace-format")
