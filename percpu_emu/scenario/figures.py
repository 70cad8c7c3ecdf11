"""The figures of a run: read from the machine as `cat` would, and counted by it."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang import context as c
from percpu_emu.scenario.figure_table import (
    CHAOS,
    COST,
    COUNTED,
    FORWARDED,
    INTERRUPTS,
    OF_THE_OS,
    READING,
    TORTURE,
    WORK,
)
from percpu_emu.scenario.schema import Read, all_steps
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.machine import CgroupTree, Machine
    from percpu_emu.scenario.schema import Letter, Scenario, WorkerPart

KB = 1024
ATOMIC_MARK = "atomic path"
FORWARDED_MARK = "forwarded"


def figure_names(scenario: Scenario) -> list[str]:
    """The figures that a run of the scenario can have, by their paths."""
    if scenario.torture is not None:
        return list(TORTURE)
    if not scenario.steps:
        return []
    readings = dict.fromkeys([*(step.to for step in all_steps(scenario.steps) if isinstance(step, Read)), "end"])
    names = [f"{reading}.{key}" for reading in readings for key in READING]
    names += [*COST, *WORK, *COUNTED]
    names += INTERRUPTS if scenario.interrupts else ()
    names += CHAOS if scenario.faults.chaos else []
    found = [f"{protocol}.{name}" for protocol in scenario.protocols for name in names]
    forwarding = [protocol for protocol in scenario.protocols if PROTOCOLS[protocol].updates]
    return found + [f"{protocol}.{name}" for protocol in forwarding for name in FORWARDED]


def growing_figures(scenario: Scenario) -> list[str]:
    """Those whose growth from "before" to "after" can be held against the letter's."""
    known = figure_names(scenario)
    found = [f"{name}.after.{key}" for name in scenario.letter for key in READING if key != OF_THE_OS]
    return [figure for figure in found if {figure, figure.replace(".after.", ".before.")} <= set(known)]


class Meter:
    """Reads figures of one machine. `letter` says how much slab its boot had allocated, as an input."""

    def __init__(self, scenario: Scenario, machine: Machine, tree: CgroupTree, letter: Letter | None) -> None:
        self._scenario = scenario
        self._machine = machine
        self._tree = tree
        self._boot_slab_kb = letter.before.slab_kb if letter else 0
        self._slab_base = 0
        self._counts: Counter[str] = Counter()
        self._worked_since = time.monotonic()
        self._worked_seconds = 0.0
        self.readings: dict[str, dict[str, int]] = {}
        self.stray: list[str] = []
        """Pages that came back after they were given back to the operating system, at any reading."""
        self.pages: list[tuple[str, int, int]] = []
        """At each reading: its name, pages that the OS should hold for per-CPU memory, and pages that it does hold."""

    def read(self, name: str) -> None:
        """Take a reading."""
        memory = self._machine.memory
        held = memory.held_pages()["percpu"]
        if not self.readings:
            self._slab_base = memory.slab.slab_kb
        reading = {
            "nr_dying_descendants": self._tree.root.nr_dying_descendants,
            "slab_kb": self._boot_slab_kb + memory.slab.slab_kb - self._slab_base,
            "percpu_kb": memory.percpu.percpu_kb,
            "os_percpu_kb": held * PAGE_SIZE // KB,
        }
        self.readings[name] = reading
        self.pages.append((name, memory.percpu.os_pages_expected(), held))
        self.stray += [page for page in memory.stray_pages() if page not in self.stray]
        self._machine.events.emit("reading", name=name, **reading)

    def count(self, what: str, times: int = 1) -> None:
        """So many more of something that a step did: one of COUNTED."""
        self._counts[what] += times

    def start_workers(self, cpus: Iterable[int]) -> None:
        """Set the scenario's workers to work on these CPUs."""
        for cpu in cpus:
            for index, worker in enumerate(self._scenario.workers):
                if worker.cpus == "all" or cpu in worker.cpus:
                    table = self._tree.table.pointer
                    self._machine.set_working(cpu, index, table, worker.stretch, self._rest_us(worker))

    def _rest_us(self, worker: WorkerPart) -> int:
        """How long a CPU rests after a stretch so that all of them together keep the worker's pace."""
        cpus = self._machine.topology.cpus if worker.cpus == "all" else len(worker.cpus)
        return worker.stretch * cpus * 1_000_000 // worker.pace if worker.pace else 0

    def stop_workers(self) -> None:
        """Have every CPU idle, and the clock for rates stopped."""
        self._worked_seconds = time.monotonic() - self._worked_since
        self._machine.rest()

    def figures(self) -> dict[str, Any]:
        """Everything that was read and counted."""
        figures: dict[str, Any] = {**self.readings, **self._cost(), **self._work()}
        return figures | dict(self._counts)

    def _cost(self) -> Mapping[str, float]:
        before, after = self.readings.get("before"), self.readings.get("after")
        dying = after["nr_dying_descendants"] - before["nr_dying_descendants"] if before and after else 0
        if not (before and after and dying > 0):
            return {}
        grown = sum(after[key] - before[key] for key in ("slab_kb", "percpu_kb"))
        return {"kb_per_dying_cgroup": round(grown / dying, 1)}

    def _interrupts(self, seconds: float) -> dict[str, float]:
        blocks = self._machine.memory.blocks[: self._machine.topology.cpus]
        handled, inside, deferred = (int(blocks[:, word].sum()) for word in (c.IRQS, c.IRQS_INSIDE, c.IRQS_DEFERRED))
        return {
            "interrupts": handled,
            "interrupts_per_s": round(handled / seconds),
            "interrupts_inside_update": inside,
            "interrupts_deferred": deferred,
        }

    def _work(self) -> Mapping[str, float]:
        blocks = self._machine.memory.blocks
        updates = int(blocks[:, c.UPDATES].sum())
        marks = self._machine.image.marks
        atomic = int(blocks[:, c.MARKS + marks.index(ATOMIC_MARK)].sum()) if ATOMIC_MARK in marks else 0
        latencies = sorted(seconds * 1e6 for seconds in self._machine.rcu.latencies)
        seconds = self._worked_seconds or time.monotonic() - self._worked_since
        more: dict[str, float] = self._interrupts(seconds) if self._scenario.interrupts else {}
        if FORWARDED_MARK in marks:
            more["forwarded"] = int(blocks[:, c.MARKS + marks.index(FORWARDED_MARK)].sum())
        if self._machine.chaos:
            more["starved"] = self._machine.chaos.intervals
        return more | {
            "updates": updates,
            "updates_per_s": round(updates / seconds),
            "percpu_path": updates - atomic,
            "atomic_path": atomic,
            "releases": self._tree.releases,
            "releases_per_s": round(self._tree.releases / seconds, 1),
            "caught_in_update": self._tree.caught,
            "grace_periods": self._machine.rcu.ended,
            "grace_period_us": round(statistics.median(latencies), 1) if latencies else 0.0,
            "grace_period_us_max": round(self._machine.rcu.longest * 1e6, 1),
        }
