"""A line a minute while a scenario runs for long: what has happened so far, and how much memory it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from percpu_emu.scenario.verdict import Check
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.machine import CgroupTree, Machine
    from percpu_emu.scenario.figures import Meter

PULSE_SECONDS: Final = 60.0
WARM: Final = 2
"""Minutes after which memory has to stay what it is."""
MB: Final = 1 << 20
SLACK_MB: Final = 24.0
SLACK: Final = 0.05


class Pulse:
    """Beats once a minute."""

    def __init__(self, machine: Machine, tree: CgroupTree, meter: Meter) -> None:
        self._machine = machine
        self._tree = tree
        self._meter = meter
        self._next = time.monotonic() + PULSE_SECONDS
        self.memory_mb: list[float] = []
        """At each beat."""

    def attend(self, now: float) -> None:
        """Beat where that is due."""
        if now < self._next:
            return
        self._next += PULSE_SECONDS
        self.memory_mb.append(memory_mb(self._machine))
        figures = self._meter.figures()
        counted = ("updates", "releases", "offlined", "onlined", "interrupts", "killed", "stalls", "starved")
        so_far = {name: figures.get(name, 0) for name in counted}
        lost = len(self._tree.audit.imbalances)
        minute = len(self.memory_mb)
        self._machine.events.emit("minute", minute=minute, lost=lost, memory_mb=self.memory_mb[-1], **so_far)

    def checks(self) -> list[Check]:
        """Whether memory stayed flat; nothing where the run was too short to tell."""
        if len(self.memory_mb) <= WARM:
            return []
        early, last = max(self.memory_mb[:WARM]), self.memory_mb[-1]
        flat = last <= early * (1 + SLACK) + SLACK_MB
        return [Check("memory stays flat", flat, f"{early:.0f} MB after {WARM} minutes, {last:.0f} MB at the last one")]


def memory_mb(machine: Machine) -> float:
    """What all processes hold for themselves, and what the segments hold, once."""
    pids = [os.getpid(), *(machine.cpus.pid(cpu) for cpu in machine.cpus.online)]
    own = sum(_anonymous_kb(pids)) * 1024
    return (own + sum(machine.memory.held_pages().values()) * PAGE_SIZE) / MB


def _anonymous_kb(pids: Iterable[int]) -> Iterable[int]:
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:  # it has just died
            continue
        yield sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
