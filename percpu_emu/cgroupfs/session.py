"""A session: a machine that starts, is served as files, ends, and is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from percpu_emu.cgroupfs.filesystem import FileSystem
from percpu_emu.cgroupfs.running import COMPILED, RunningMachine
from percpu_emu.cgroupfs.system import System
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.machine import CgroupTree, EventStream, Machine, Trapped
from percpu_emu.scenario.figures import Meter
from percpu_emu.scenario.load import Loaded, ScenarioError, load
from percpu_emu.scenario.machines import (
    UNTOUCHED,
    config_of,
    faults_of,
    foreign_kernel,
    machine_of,
    refuse_kernel,
)
from percpu_emu.scenario.protocol_runs import listening, machine_checks, machine_notes
from percpu_emu.scenario.verdict import Check, Verdict, verdict_of

MACHINE: Final = "dying-cgroups"
"""The scenario whose machine it is: the cover letter's. Its workers and steps are left out."""
DEFAULT_PROTOCOL: Final = "patched"


@dataclass
class Session:
    """A machine with its files. `outcome` fills the rest when it has ended."""

    loaded: Loaded
    machine: Machine
    system: System
    files: FileSystem
    meter: Meter
    refusals: list[str]
    trap: Trapped | None = None
    """An access to freed memory, which has ended the machine."""
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Over the checks."""
        return verdict_of(self.checks, None)

    @property
    def scope(self) -> dict[str, Any]:
        """What was controlled."""
        scenario = self.loaded.scenario
        return {
            "engine": "native",
            "cpus": scenario.machine.cpus,
            "nodes": scenario.machine.nodes,
            "kernel": scenario.machine.kernel,
            "protocol": scenario.protocols[0],
            "controlled": "the order of the file system's calls",
            "faults": faults_of(scenario),
            "not_controlled": "what the processes do that use the files, and when",
        }

    def judge(self) -> None:
        """Hold the counters against the ledgers, and the pages against the operating system's, at the end."""
        tree = self.system.running.tree
        try:
            if self.trap is not None:
                raise self.trap
            self.meter.stop_workers()
            self.machine.settle()
            tree.audit_all()
            tree.table.clear()
            self.machine.settle()
            self.meter.read("end")
        except Trapped as trap:
            self.checks = [Check(UNTOUCHED, False, str(trap))]
        else:
            self.checks = machine_checks(self.machine, tree, self.meter, self.refusals)
        self.figures = {self.loaded.scenario.protocols[0]: self.meter.figures()}
        self.notes = [*machine_notes(self.machine, tree), *foreign_kernel(self.loaded)]


def load_machine(overrides: Mapping[str, Any]) -> Loaded:
    """The machine that the options describe. Raises ScenarioError."""
    loaded = load(MACHINE, {"protocols": [DEFAULT_PROTOCOL]} | {k: v for k, v in overrides.items() if v is not None})
    if len(loaded.scenario.protocols) > 1:
        raise ScenarioError(loaded.given, ["one machine has one protocol: give --protocol once"])
    refuse_kernel(loaded)
    return loaded


@contextmanager
def running(loaded: Loaded, events: EventStream, *, busy: bool = False) -> Iterator[Session]:
    """Start the machine for the block. `busy`: its CPUs update the youngest cgroups meanwhile, dying ones, too."""
    scenario, name = loaded.scenario, loaded.scenario.protocols[0]
    refusals: list[str] = []
    config = replace(config_of(loaded, PROTOCOLS[name]), workers=loaded.workers if busy else (), compiled=COMPILED)
    with machine_of(loaded, config, events) as machine, listening(events, "refused", refusals):
        tree = CgroupTree(machine)
        letter = scenario.letter.get(
            name, scenario.letter[DEFAULT_PROTOCOL]
        )  # what boot had allocated, Slab's beginning
        meter = Meter(scenario, machine, tree, letter)
        meter.read("start")
        tree.table.resize(scenario.table)
        if busy:
            meter.start_workers(machine.cpus.online)
        slab_kb = letter.before.slab_kb
        system = System(RunningMachine(machine, tree, slab_kb, meter.start_workers if busy else None))
        yield Session(loaded, machine, system, FileSystem(system), meter, refusals)
