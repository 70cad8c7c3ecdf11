"""A scenario's machine: how it is configured, and what is said of its faults, whatever runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from percpu_emu.kernel.program_sizes import cannot_show, has_own_counters
from percpu_emu.kernel.protocols import Protocol
from percpu_emu.machine import EventStream, Machine, MachineConfig, Topology
from percpu_emu.machine.faults import BadFault, FaultTable, parse_fault
from percpu_emu.machine.interrupts import Interrupts
from percpu_emu.scenario.load import Loaded, ScenarioError
from percpu_emu.scenario.schema import Mkdir, Replace, Scenario, all_steps
from percpu_emu.scenario.wording import said_of_fault

UNTOUCHED: Final = "no access to freed memory"
"""The check that an access which traps fails."""


def refuse_kernel(loaded: Loaded) -> None:
    """Raise ScenarioError where the scenario makes cgroups and the programs cannot make those of its kernel."""
    if not any(isinstance(step, Mkdir | Replace) for step in all_steps(loaded.scenario.steps)):
        return
    if problem := cannot_show(loaded.profile, loaded.scenario.machine.nodes):
        raise ScenarioError(loaded.blamed("machine.kernel"), [f"machine.kernel: {problem}"])


def foreign_kernel(loaded: Loaded) -> list[str]:
    """What a run shows of a kernel whose counters are not those of the programs: its sizes, and nothing else of it."""
    profile = loaded.profile
    if has_own_counters(profile):
        return []
    own = "counters, updates and release are those of Linux 5.0 and the patchset"
    notes = [f"{profile.name} gives the sizes ({profile.trust}); {own}"]
    if profile.percpu.accounted_apart:
        notes.append(
            f"{profile.name} keeps accounted areas in chunks of their own, which `footprint` counts, and not here"
        )
    if loaded.scenario.letter:
        notes.append("Slab begins with what the cover letter's kernel had at boot: only its growth is of this kernel")
    return notes


def config_of(loaded: Loaded, protocol: Protocol) -> MachineConfig:
    """The machine that a scenario describes."""
    scenario = loaded.scenario
    return MachineConfig(
        Topology.spread(scenario.machine.cpus, scenario.machine.nodes),
        loaded.profile,
        protocol,
        loaded.workers,
        scenario.machine.stall_seconds,
        interrupts=_interrupts(loaded),
        faults=[parse_fault(line) for line in scenario.faults.inject],
        chaos=chaos_of(scenario),
        seed=scenario.seed,
        control_cpu=scenario.machine.control_cpu,
        guard=scenario.machine.guard,
    )


def machine_of(loaded: Loaded, config: MachineConfig, events: EventStream) -> Machine:
    """It, not yet started. Raises ScenarioError for a fault that names no injection point."""
    with naming_faults(loaded):
        return Machine(config, events)


@contextmanager
def naming_faults(loaded: Loaded) -> Iterator[None]:
    """Say of a fault that names no injection point in which file, under which key it stands."""
    try:
        yield
    except BadFault as error:
        raise ScenarioError(loaded.blamed("faults.inject"), [f"faults.inject: {said_of_fault(error)}"]) from error


def chaos_of(scenario: Scenario) -> int | None:
    """The seed of chaos, None where there is none."""
    return scenario.seed if scenario.faults.chaos else None


def faults_of(scenario: Scenario) -> list[str]:
    """For a scope: everything that goes wrong on purpose."""
    return [*scenario.faults.inject, *(["chaos"] if scenario.faults.chaos else [])]


def fault_notes(faults: FaultTable) -> list[str]:
    """How often each fault has happened."""
    return [f"fault {line}: {hits} times" for line, hits in faults.hits().items()]


def _interrupts(loaded: Loaded) -> list[Interrupts]:
    everyone = range(loaded.scenario.machine.cpus)
    parts = zip(loaded.scenario.interrupts, loaded.interrupts, strict=True)
    return [
        Interrupts(program, everyone if part.cpus == "all" else part.cpus, part.rate, part.by)
        for part, program in parts
    ]
