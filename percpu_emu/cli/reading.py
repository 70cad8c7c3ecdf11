"""The JSON object of commands that only read what ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from percpu_emu.cli.output import print_object
from percpu_emu.report.result import Report, reported
from percpu_emu.scenario.verdict import Check, verdict_of


def print_json(command: str, subject: str, figures: Mapping[str, Any], *, found: bool, seed: int | None) -> None:
    """Print it. Nothing runs, so the only failure is that nothing is found."""
    check = Check("found", found, "read from the files that ship, or from the path given; nothing was run")
    report = Report(
        command=command,
        subject=subject,
        verdict=verdict_of([check], None),
        scope={"engine": "none"},
        checks=reported([check]),
        figures=dict(figures),
        seed=seed,
    )
    print_object(report)
