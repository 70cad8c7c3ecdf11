"""The machine while it runs, in a terminal: what every CPU does, the grace period, cgroups and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from percpu_emu.report.snapshot import Observer

if TYPE_CHECKING:
    from percpu_emu.machine import CgroupTree, Machine

REFRESH_SECONDS: Final = 0.1
MOST_CPUS: Final = 24
_BAR: Final = 40


class LiveMachine:
    """Draws a machine ten times a second; the coordinator calls `attend` whenever it polls."""

    def __init__(self, console: Console, machine: Machine, tree: CgroupTree) -> None:
        self._observer = Observer(machine, tree)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._next = 0.0
        self._most = {"Percpu": 1, "Slab": 1}

    def __enter__(self) -> LiveMachine:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def attend(self, now: float) -> None:
        """Draw anew where that is due."""
        if now >= self._next:
            self._next = now + REFRESH_SECONDS
            self._live.update(self.picture(now), refresh=True)

    def picture(self, now: float) -> Group:
        """The screen."""
        return Group(self._cpus(now), Text(), *self._kernel())

    def _cpus(self, now: float) -> Table:
        table = Table(show_edge=False, pad_edge=False)
        for name, justify in (("CPU", "right"), ("state", "left"), ("at", "left"), ("updates/s", "right")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        table.add_column("interrupts", justify="right")
        pictures = self._observer.cpus(now)
        for cpu in pictures[:MOST_CPUS]:
            table.add_row(str(cpu.cpu), cpu.state, cpu.doing[:48], f"{cpu.updates_per_s:,.0f}", f"{cpu.interrupts:,}")
        if len(pictures) > MOST_CPUS:
            table.caption = f"and {len(pictures) - MOST_CPUS} more"
        return table

    def _kernel(self) -> list[Text]:
        kernel = self._observer.kernel()
        awaited = f", waits for CPU {', '.join(map(str, kernel.waits_for[:8]))}" if kernel.waits_for else ""
        cgroups = ", ".join(f"{many} {state}" for state, many in kernel.cgroups.items())
        lost = len(kernel.imbalances)
        return [
            Text(f"grace period {kernel.grace_period}{awaited}; {kernel.grace_periods_ended} over"),
            Text(f"cgroups: {cgroups}; {kernel.releases} released so far, {kernel.caught} with a CPU inside an update"),
            self._bar("Percpu", kernel.percpu_kb),
            self._bar("Slab", kernel.slab_kb),
            Text(f"counters that differ from the ledgers: {lost}", style="bold red" if lost else ""),
        ]

    def _bar(self, name: str, kb: int) -> Text:
        self._most[name] = max(self._most[name], kb)
        filled = round(_BAR * kb / self._most[name])
        return Text(f"{name:7}{'█' * filled}{'·' * (_BAR - filled)} {kb:,} kB")
