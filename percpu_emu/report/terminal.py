"""A run as a person sees it in the terminal: progress and warnings while it runs, tables at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from percpu_emu.report.ending import print_notes, print_verdict
from percpu_emu.report.tables import checks_table, comparison_table, counts_table, readings_table
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from loguru import Logger

    from percpu_emu.machine import Event
    from percpu_emu.report.result import Report
    from percpu_emu.scenario.load import Loaded
    from percpu_emu.scenario.schema import Scenario

REFRESH_SECONDS = 0.1
LOG_SECONDS = 1.0
"""Between two lines of a log."""


class LiveProgress:
    """Listens to a machine: a bar for long work, a log line for what a person should know. Writes to stderr.

    It refreshes when an event comes, not from a thread: CPU processes are forked while it runs. With `as_lines`
    progress is lines of the log, too.
    """

    def __init__(self, console: Console, log: Logger, *, as_lines: bool = False) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns,
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not console.is_terminal or console.quiet,
        )
        self._as_lines = as_lines
        self._task = self._progress.add_task("", visible=False)
        self._log = log
        self._next = 0.0
        self._protocol = ""

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if handler := getattr(self, f"_on_{event.kind}", None):
            handler(**event.fields)

    def _on_protocol(self, name: str) -> None:
        self._protocol = name

    def _on_progress(self, done: float, of: float, what: str = "") -> None:
        now = time.monotonic()
        if now < self._next and done < of:
            return
        self._next = now + (LOG_SECONDS if self._as_lines else REFRESH_SECONDS)
        description = what or self._protocol
        if self._as_lines:
            self._log.info(f"{description or 'progress'}: {round(done)} of {round(of)}")
        self._progress.update(self._task, description=description, completed=round(done), total=round(of), visible=True)
        self._progress.refresh()

    def _on_rcu_stall(self, cpus: list[int], waited: float, grace_period: int, where: list[str]) -> None:
        self._log.warning(
            f"rcu: grace period {grace_period} has waited {waited:.1f} s for CPU {', '.join(map(str, cpus))}: "
            f"{'; '.join(where)}"
        )

    def _on_cpu_died(self, cpu: int, exitcode: int, doubts: list[str], *, wanted: bool) -> None:
        if wanted:  # by a fault, of which the report says how often
            return
        how = f"killed by signal {-exitcode}" if exitcode < 0 else f"ended with code {exitcode}"
        doubt = f"in doubt: {'; '.join(doubts)}" if doubts else "no update was in flight"
        self._log.warning(f"CPU {cpu}'s process was {how}; its slots are flushed, {doubt}")

    def _on_minute(self, minute: int, memory_mb: float, **counted: int) -> None:
        so_far = ", ".join(f"{name} {count}" for name, count in counted.items())
        self._log.info(f"minute {minute}: {so_far}, memory {memory_mb:.0f} MB")

    def _on_refused(self, cpu: int, reason: str) -> None:
        self._log.error(f"CPU {cpu}: {reason}")


def print_report(console: Console, report: Report, loaded: Loaded) -> None:
    """The end of a run: figures, checks, notes, verdict."""
    scenario = loaded.scenario
    console.print(f"[bold]{scenario.name}[/]: {escape(scenario.summary)}", highlight=False)
    console.print(_machine_line(scenario), style="dim", markup=False, highlight=False)
    console.print()
    if len(scenario.protocols) > 1:
        console.print(comparison_table(report.figures, {} if loaded.is_resized else scenario.letter))
        for name, figures in report.figures.items():
            console.print(f"[bold]{name}[/]: {_work_line(figures)}", highlight=False)
    else:
        [figures] = report.figures.values()
        for table in (readings_table(figures), counts_table(figures)):
            if table is not None:
                console.print(table)
                console.print()
    console.print()
    console.print(checks_table(report))
    print_notes(console, report)
    print_verdict(console, report)


def _machine_line(scenario: Scenario) -> str:
    machine = scenario.machine
    nodes = plural(machine.nodes, "NUMA node")
    cgroups = f", {plural(scenario.cgroups, 'cgroup')}" if scenario.cgroups > 1 else ""
    cpus = "1 CPU process" if machine.cpus == 1 else f"{machine.cpus} CPU processes"
    return f"{cpus}, {nodes}, kernel {machine.kernel}{cgroups}"


def _work_line(figures: dict[str, Any]) -> str:
    return (
        f"{figures['updates']} updates by the CPUs meanwhile, {figures['atomic_path']} of them atomic; "
        f"{figures['releases']} releases, {figures['caught_in_update']} of which caught a CPU inside an update; "
        f"{figures['grace_periods']} grace periods, median {figures['grace_period_us']:.0f} us"
    )
