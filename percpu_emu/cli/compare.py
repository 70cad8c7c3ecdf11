"""`percpu-emu compare`: two reports of `--json`, side by side."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from rich.console import Console

from percpu_emu.cli.errors import WrongArgument
from percpu_emu.cli.output import print_object
from percpu_emu.report.compare import NotComparable, compared, read_report
from percpu_emu.report.ending import print_notes, print_verdict
from percpu_emu.report.result import Report
from percpu_emu.report.tables import checks_table, differences_table
from percpu_emu.scenario.verdict import exit_code
from percpu_emu.scenario.wording import encodable

MOST_BYTES: Final = 1 << 28
"""Of a file: one that never ends is refused."""
MOST_FIGURES: Final = 40
"""On a terminal; `--json` has all."""


def compare_and_report(before: Path, after: Path, *, as_json: bool) -> int:
    """Compare two files; what differs on stdout. The exit code: 1 where something got worse."""
    start = time.monotonic()
    try:
        old, new = (read_report(_content(path), str(path)) for path in (before, after))
        names = encodable(str(before)), encodable(str(after))
        report = compared(old, new, names, time.monotonic() - start)
    except NotComparable as error:
        raise WrongArgument(str(error)) from None
    if as_json:
        print_object(report)
    else:
        _print(Console(), report)
    return exit_code(report.verdict)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise WrongArgument(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise WrongArgument(f"{path} holds no report of --json: it has more than {MOST_BYTES >> 20} MiB")
    return content


def _print(console: Console, report: Report) -> None:
    """What the reports are for, where that differs; then the checks and the figures."""
    scope, figures = report.scope, report.figures
    console.print(f"{scope['of']}: {scope['before']} -> {scope['after']}", markup=False, highlight=False)
    if scope["differs"]:
        console.print("\nThe scopes differ:")
        console.print(differences_table(scope["differs"]))
    console.print()
    console.print(checks_table(report))
    if figures:
        console.print()
        console.print(differences_table(figures, MOST_FIGURES))
    print_notes(console, report)
    if len(figures) > MOST_FIGURES:
        console.print(f"note: {len(figures) - MOST_FIGURES} more figures changed; --json has all", highlight=False)
    print_verdict(console, report)
