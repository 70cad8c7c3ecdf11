"""Running a scenario on real processes, protocol after protocol, and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang import context as c
from percpu_emu.machine import CgroupTree, CpuDied, Event, EventStream, Machine, Trapped
from percpu_emu.machine.machine import Attendant
from percpu_emu.scenario.actions import Orders, Shell
from percpu_emu.scenario.expect import expectation_checks
from percpu_emu.scenario.figures import Meter
from percpu_emu.scenario.load import Loaded
from percpu_emu.scenario.machines import (
    UNTOUCHED,
    config_of,
    fault_notes,
    faults_of,
    foreign_kernel,
    machine_of,
    refuse_kernel,
)
from percpu_emu.scenario.pulse import Pulse
from percpu_emu.scenario.sampling import sample_work
from percpu_emu.scenario.schema import ProtocolName
from percpu_emu.scenario.verdict import Check, Verdict, verdict_of

MOST_NOTES: Final = 20


@dataclass
class RunResult:
    """The result of a run; `figures` by protocol, those of a torture by their own names."""

    loaded: Loaded
    verdict: Verdict
    checks: list[Check]
    figures: dict[str, Any]
    scope: dict[str, Any]
    notes: list[str] = field(default_factory=list)


Watch: TypeAlias = "Callable[[Machine, CgroupTree], AbstractContextManager[Attendant]]"
"""Factory of an observer: the coordinator calls it whenever it polls."""


def run_scenario(
    loaded: Loaded, events: EventStream, watch: Watch | None = None, orders: Orders | None = None
) -> RunResult:
    """Run it. Raises what the machine raises: `StartFailed`, `CgroupError`, `CpuDied`, `KeyboardInterrupt`.

    `watch` observes the machine while it runs; `orders` gives steps to do meanwhile.
    """
    scenario = loaded.scenario
    refuse_kernel(loaded)
    by_protocol: dict[str, dict[str, Any]] = {}
    checks: list[Check] = []
    notes: list[str] = []
    cut_short: str | None = None
    for name in scenario.protocols:
        events.emit("protocol", name=name)
        prefix = f"{name}: " if len(scenario.protocols) > 1 else ""
        outcome = _run_protocol(loaded, name, events, watch, orders)
        by_protocol[name] = outcome.figures
        checks += [replace(check, name=prefix + check.name) for check in outcome.checks]
        notes += [prefix + note for note in outcome.notes]
        cut_short = cut_short or outcome.cut_short
    checks += expectation_checks(loaded, by_protocol)
    notes += [f"cut short: {cut_short}"] if cut_short else []
    notes += foreign_kernel(loaded)
    return RunResult(loaded, verdict_of(checks, cut_short), checks, by_protocol, _scope(loaded), notes)


@dataclass
class _Outcome:
    figures: dict[str, Any]
    checks: list[Check]
    notes: list[str]
    cut_short: str | None


def _run_protocol(
    loaded: Loaded, name: ProtocolName, events: EventStream, watch: Watch | None, orders: Orders | None
) -> _Outcome:
    scenario = loaded.scenario
    config = config_of(loaded, PROTOCOLS[name])
    refusals: list[str] = []
    with (
        ExitStack() as watching,
        machine_of(loaded, config, events) as machine,
        listening(events, "refused", refusals),
    ):
        tree = CgroupTree(machine)
        tree.table.resize(scenario.table)
        meter = Meter(scenario, machine, tree, scenario.letter.get(name))
        pulse = Pulse(machine, tree, meter)
        machine.attend(pulse)
        sampler = sample_work(machine, tree)
        if watch is not None:
            machine.attend(watching.enter_context(watch(machine, tree)))
        meter.start_workers(machine.cpus.online)
        watching.enter_context(_figures_so_far(events, name, meter))
        try:
            cut_short = _run_steps(Shell(scenario, machine, tree, meter, orders))
            meter.stop_workers()
            machine.settle()
            tree.audit_all()
            tree.table.clear()
            machine.settle()
            meter.read("end")
            sampler.take()
        except Trapped as trap:
            return _Outcome(meter.figures(), [Check(UNTOUCHED, False, str(trap))], machine_notes(machine, tree), None)
        checks = [*machine_checks(machine, tree, meter, refusals), *pulse.checks()]
        return _Outcome(meter.figures(), checks, machine_notes(machine, tree), cut_short)


@contextmanager
def _figures_so_far(events: EventStream, protocol: ProtocolName, meter: Meter) -> Iterator[None]:
    """However the run ends, emit the figures up to there."""
    try:
        yield
    finally:
        events.emit("figures", protocol=protocol, figures=meter.figures())


def _run_steps(shell: Shell) -> str | None:
    """Go through the steps; why they were cut short, None if they were not."""
    try:
        shell.run()
    except CpuDied as error:
        return str(error)
    return None


@contextmanager
def listening(events: EventStream, kind: str, reasons: list[str]) -> Iterator[None]:
    """Inside the block, enter the reasons of that kind of event in a list."""

    def listener(event: Event) -> None:
        if event.kind == kind:
            reasons.append(f"CPU {event.fields['cpu']}: {event.fields['reason']}")

    events.listen(listener)
    try:
        yield
    finally:
        events.ignore(listener)


def machine_checks(machine: Machine, tree: CgroupTree, meter: Meter, refusals: list[str]) -> list[Check]:
    """What is checked of a machine that has run, whatever was done on it: ledgers, pages, warnings, refusals."""
    audit = tree.audit
    lost = "; ".join(list(dict.fromkeys(map(str, audit.imbalances)))[:5])  # a cgroup is looked at more than once
    ledger = f"{audit.checked} comparisons of a counter with the ledgers of {machine.topology.cpus} CPUs"
    apart = [f"{name}: {held} held, {expected} expected" for name, expected, held in meter.pages if held != expected]
    warnings = _warnings(machine)
    compared = None if not audit.checked else not audit.imbalances
    return [
        Check("nothing lost, nothing doubled", compared, lost or ledger, needed=bool(audit.checked)),
        Check("the operating system holds the pages of Percpu", not apart, "; ".join(apart) or _pages_detail(machine)),
        Check(UNTOUCHED, not meter.stray, "; ".join(meter.stray[:5]) or _untouched(machine)),
        Check("no kernel warning", not warnings, "; ".join(warnings) or "no WARN_ON fired"),
        Check("no request refused", not refusals, "; ".join(refusals[:5]) or "no double or wild free"),
    ]


def _untouched(machine: Machine) -> str:
    return "any access would have trapped" if machine.config.guard else "no freed page was touched"


def _pages_detail(machine: Machine) -> str:
    percpu, topology = machine.memory.percpu, machine.topology
    detail = f"{percpu.nr_populated} pages x {topology.cpus} CPUs, to the page, at every reading"
    unused = machine.memory.layout.nr_units - topology.cpus
    return detail + (f"; Percpu counts {unused} units more, which have no CPU, as the kernel does" if unused else "")


def _warnings(machine: Machine) -> list[str]:
    fired = machine.memory.blocks[machine.memory.blocks[:, c.WARNINGS] > 0]
    return [f"{int(block[c.WARNINGS])} x {machine.image.warnings[int(block[c.WARN_SITE])]}" for block in fired]


def machine_notes(machine: Machine, tree: CgroupTree) -> list[str]:
    """Its faults, and what became of the updates of CPUs that died."""
    settled = {id(settled.doubt): str(settled) for settled in tree.audit.settled}
    doubts = [settled.get(id(doubt), f"{doubt}: not done, or done and entered") for doubt in machine.doubts]
    return [*fault_notes(machine.faults), *_some(doubts)]


def _some(notes: list[str]) -> list[str]:
    """Not more of them than a person reads."""
    return notes if len(notes) <= MOST_NOTES else [*notes[:MOST_NOTES], f"... and {len(notes) - MOST_NOTES} like these"]


def _scope(loaded: Loaded) -> dict[str, Any]:
    machine = loaded.scenario.machine
    return {
        "engine": "native",
        "cpus": machine.cpus,
        "nodes": machine.nodes,
        "kernel": machine.kernel,
        "controlled": "the order of the coordinator's steps",
        "faults": faults_of(loaded.scenario),
        "interrupts": [f"{part.program}, {part.rate:g}/s by {part.by}" for part in loaded.scenario.interrupts],
        "not_controlled": "which CPU runs when: the operating system decides, and another run differs",
    }
