"""The machine while it runs, in a terminal: what every CPU does, the grace period, cgroups and memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from percpu_emu.lang import context as c

if TYPE_CHECKING:
    from percpu_emu.machine import CgroupTree, Machine

REFRESH_SECONDS: Final = 0.1
MOST_CPUS: Final = 24
_BAR: Final = 40
_STATES: Final = ("online", "dying", "offline", "released")


class LiveMachine:
    """Draws a machine ten times a second; the coordinator calls `attend` whenever it looks round."""

    def __init__(self, console: Console, machine: Machine, tree: CgroupTree) -> None:
        self._machine = machine
        self._tree = tree
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._next = 0.0
        self._before: tuple[float, list[int]] = (0.0, [])
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
        machine = self._machine
        table = Table(show_edge=False, pad_edge=False)
        for name, justify in (("CPU", "right"), ("state", "left"), ("at", "left"), ("updates/s", "right")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        table.add_column("interrupts", justify="right")
        updates = machine.memory.blocks[: machine.topology.cpus, c.UPDATES].tolist()
        then, before = self._before
        self._before = now, updates
        for cpu in range(min(machine.topology.cpus, MOST_CPUS)):
            rate = (updates[cpu] - before[cpu]) / max(now - then, 1e-9) if before else 0.0
            block = machine.memory.blocks[cpu]
            table.add_row(str(cpu), self._state(cpu), self._at(cpu), f"{rate:,.0f}", f"{int(block[c.IRQS]):,}")
        if machine.topology.cpus > MOST_CPUS:
            table.caption = f"and {machine.topology.cpus - MOST_CPUS} more"
        return table

    def _state(self, cpu: int) -> str:
        block = self._machine.memory.blocks[cpu]
        if cpu not in self._machine.cpus.online:
            return "offline"
        if block[c.STOPPED_US] or (self._machine.chaos and cpu in self._machine.chaos.starved):
            return "stopped"
        if block[c.QUIESCENT] == 0:
            return "idle"
        return "in an update" if block[c.NOTED] else "running"

    def _at(self, cpu: int) -> str:
        machine, block = self._machine, self._machine.memory.blocks[cpu]
        if cpu not in machine.cpus.online:
            return ""
        if at := int(block[c.AT]):
            site = machine.image.sites[at - 1]
            return f"{site.program}:{site.number} {site.text}"[:48]
        return machine.cpus.task(cpu)

    def _kernel(self) -> list[Text]:
        machine, tree = self._machine, self._tree
        waits = machine.rcu.holdouts() if machine.rcu.in_progress else []
        awaited = f", waits for CPU {', '.join(map(str, waits[:8]))}" if waits else ""
        states = Counter(cgroup.state for cgroup in tree.living())
        cgroups = ", ".join(f"{states[state]} {state}" for state in _STATES)
        lost = len(tree.audit.imbalances)
        return [
            Text(f"grace period {machine.rcu.done + machine.rcu.in_progress}{awaited}; {machine.rcu.ended} over"),
            Text(f"cgroups: {cgroups}; {tree.releases} released so far, {tree.caught} with a CPU inside an update"),
            self._bar("Percpu", machine.memory.percpu.percpu_kb),
            self._bar("Slab", machine.memory.slab.slab_kb),
            Text(f"counters that differ from the ledgers: {lost}", style="bold red" if lost else ""),
        ]

    def _bar(self, name: str, kb: int) -> Text:
        self._most[name] = max(self._most[name], kb)
        filled = round(_BAR * kb / self._most[name])
        return Text(f"{name:7}{'█' * filled}{'·' * (_BAR - filled)} {kb:,} kB")
