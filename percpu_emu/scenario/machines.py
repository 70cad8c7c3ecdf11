"""A scenario's machine: how it is configured, and what is said of its faults, whatever runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from percpu_emu.kernel.protocols import Protocol
from percpu_emu.machine import EventStream, Machine, MachineConfig, Topology
from percpu_emu.machine.faults import BadFault, FaultTable, parse_fault
from percpu_emu.machine.interrupts import Interrupts
from percpu_emu.scenario.load import Loaded, ScenarioError
from percpu_emu.scenario.schema import Mkdir, Replace, Scenario, all_steps

UNTOUCHED: Final = "no access to freed memory"
"""The check that an access which traps fails."""

_OF_A_CGROUP: Final = ("mem_cgroup", "memcg_vmstats_percpu", "mem_cgroup_per_node", "lruvec_stat")
"""Lines of a kernel profile whose sizes the programs that make a cgroup need (`kernel.css`)."""


def refuse_kernel(loaded: Loaded) -> None:
    """Raise ScenarioError where the scenario makes cgroups and its kernel profile does not say how large they are."""
    if not any(isinstance(step, Mkdir | Replace) for step in all_steps(loaded.scenario.steps)):
        return
    known = {line.name for line in (*loaded.profile.slab_object, *loaded.profile.percpu_area)}
    lacking = [name for name in _OF_A_CGROUP if name not in known]
    if lacking:
        problem = f"the profile {loaded.profile.name} has no line {', '.join(lacking)}, whose size a cgroup needs"
        raise ScenarioError(loaded.blamed("machine.kernel"), [f"machine.kernel: {problem}"])


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
        raise ScenarioError(loaded.blamed("faults.inject"), [f"faults.inject: {error}"]) from error


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
