"""Running a scenario that tortures RCU: writers, readers of every kind, barrier tests, with pauses in between."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from percpu_emu.kernel import rcutorture as t
from percpu_emu.kernel.layout import CGROUP_TABLE
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang import context as c
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.machine import EventStream, Machine, MachineConfig, Topology
from percpu_emu.machine.faults import parse_fault
from percpu_emu.machine.interrupts import Interrupts
from percpu_emu.machine.rcu import NoGracePeriod, Rcu
from percpu_emu.scenario.load import Loaded
from percpu_emu.scenario.run import RunResult
from percpu_emu.scenario.schema import TorturePart
from percpu_emu.scenario.verdict import Check, verdict_of

WRITER, FAKEWRITER, READER = range(3)
_WORKERS: Final[list[ProgramFunction]] = [t.torture_writer, t.torture_fakewriter, t.torture_reader]
TORTURERS: Final[tuple[ProgramFunction, ...]] = (*_WORKERS, t.torture_irq_reader, t.torture_barrier, t.torture_post)
"""Everything that runs in a torture."""
_STRETCH: Final = {WRITER: 4, FAKEWRITER: 4, READER: 256}
BARRIER_SECONDS: Final = 0.1
"""Between two barrier tests."""


@dataclass
class _Counts:
    """What the coordinator counts itself."""

    barriers: int = 0
    barrier_errors: int = 0
    stutters: int = 0


def run_torture(loaded: Loaded, events: EventStream) -> RunResult:
    """Torture for the scenario's seconds. Raises what the machine raises."""
    scenario, part = loaded.scenario, loaded.scenario.torture
    assert part is not None
    readers = range(1 + part.fakewriters, scenario.machine.cpus)
    programs: list[ProgramFunction] = [t.torture_init, t.torture_post, t.torture_barrier]
    interrupts = [Interrupts(t.torture_irq_reader, readers, part.interrupts)] if part.interrupts else []
    image = Image(
        [t.torture_callback, t.torture_counted],
        _WORKERS,
        programs,
        [t.torture_irq_reader],
        instrumented=bool(scenario.faults.inject) or scenario.machine.guard,
    )
    config = MachineConfig(
        Topology.spread(scenario.machine.cpus, scenario.machine.nodes),
        loaded.profile,
        PROTOCOLS["patched"],
        _WORKERS,
        scenario.machine.stall_seconds,
        image=image,
        interrupts=interrupts,
        faults=[parse_fault(line) for line in scenario.faults.inject],
        chaos=scenario.seed if scenario.faults.chaos else None,
        seed=scenario.seed,
        guard=scenario.machine.guard,
        rcu=NoGracePeriod if part.broken else Rcu,
    )
    counts = _Counts()
    with Machine(config, events) as machine:
        torture = machine.execute(t.torture_init)
        machine.memory.words[CGROUP_TABLE : CGROUP_TABLE + 2] = [1, torture]
        _torture(machine, part, torture, scenario.seconds, counts)
        machine.rest()
        machine.settle()
        figures = _figures(machine, torture, counts)
    checks = _checks(figures)
    idle = _idle(figures)
    notes = [f"fault {line}: {hits} times" for line, hits in machine.faults.hits().items()]
    notes += [idle] if idle else []
    return RunResult(loaded, verdict_of(checks, idle), checks, figures, _scope(loaded, part), notes)


def _torture(machine: Machine, part: TorturePart, torture: int, seconds: float, counts: _Counts) -> None:
    start = time.monotonic()
    pause_at, barrier_at = start + part.stutter, start
    _work(machine, part)
    while (now := time.monotonic()) < start + seconds:
        machine.events.emit("progress", done=now - start, of=seconds)
        if now >= barrier_at:
            _test_barrier(machine, part, torture, counts)
            barrier_at = now + BARRIER_SECONDS
        if part.stutter and now >= pause_at:
            counts.stutters += 1
            machine.rest()
            machine.run_for(part.stutter / 4)
            _work(machine, part)
            pause_at = time.monotonic() + part.stutter
        machine.poll_or_sleep()


def _work(machine: Machine, part: TorturePart) -> None:
    for cpu in machine.cpus.online:
        worker = WRITER if cpu == 0 else FAKEWRITER if cpu <= part.fakewriters else READER
        machine.set_working(cpu, worker, CGROUP_TABLE, _STRETCH[worker], 0)


def _test_barrier(machine: Machine, part: TorturePart, torture: int, counts: _Counts) -> None:
    """Callbacks posted on so many CPUs, then rcu_barrier: all have to have run."""
    machine.memory.words[torture + t.BARRIER_RAN] = 0
    cpus = [cpu % machine.topology.cpus for cpu in range(part.barrier_callbacks)]
    for cpu in cpus:
        machine.run_on(cpu, t.torture_post, torture)
    counts.barriers += 1
    counts.barrier_errors += machine.run_on(machine.topology.cpus - 1, t.torture_barrier, torture) != len(cpus)


def _figures(machine: Machine, torture: int, counts: _Counts) -> dict[str, Any]:
    memory, words = machine.memory, machine.memory.words
    pipe = memory.slots(int(words[torture + t.READER_PIPE]), t.PIPE_LEN + 1).sum(axis=0)
    return {
        "reader_pipe": pipe.tolist(),
        "free_block_circulation": words[torture + t.STAGES : torture + t.STAGES + t.PIPE_LEN + 1].tolist(),
        "versions": int(words[torture + t.VERSIONS]),
        "free_list_empty": int(words[torture + t.NOTHING_FREE]),
        "rtmbe": int(words[torture + t.MB_ERRORS]),
        "barrier_tests": counts.barriers,
        "rtbe": counts.barrier_errors,
        "interrupts": int(memory.blocks[:, c.IRQS].sum()),
        "stutters": counts.stutters,
        "grace_periods": machine.rcu.ended,
    }


def _checks(figures: dict[str, Any]) -> list[Check]:
    pipe, stages = figures["reader_pipe"], figures["free_block_circulation"]
    too_old, lost = sum(pipe[2:]), stages[-1]
    return [
        Check("no reader outlived a grace period", too_old == 0, f"{too_old} of {sum(pipe)} saw an age of 2 or more"),
        Check("no reader saw an element taken back", figures["rtmbe"] == 0, f"rtmbe: {figures['rtmbe']}"),
        Check("no element went beyond the pipe", lost == 0, f"the last stage of the circulation: {lost}"),
        Check("rcu_barrier waits for every callback", figures["rtbe"] == 0, f"{figures['barrier_tests']} tests"),
    ]


def _idle(figures: dict[str, Any]) -> str | None:
    """What never happened, so that the torture says nothing."""
    pipe = figures["reader_pipe"]
    seen = {
        "reader": pipe[0], "reader whose element was replaced": pipe[1], "new version": figures["versions"],
        "grace period": figures["grace_periods"], "barrier test": figures["barrier_tests"],
    }  # fmt: skip
    never = [what for what, count in seen.items() if count == 0]
    return f"nothing is shown: no {', no '.join(never)}" if never else None


def _scope(loaded: Loaded, part: TorturePart) -> dict[str, Any]:
    machine = loaded.scenario.machine
    return {
        "engine": "native",
        "cpus": machine.cpus,
        "nodes": machine.nodes,
        "kernel": machine.kernel,
        "torture_type": "no grace period: broken on purpose" if part.broken else "quiescent-state",
        "nreaders": machine.cpus - 1 - part.fakewriters,
        "nfakewriters": part.fakewriters,
        "stutter": part.stutter,
        "n_barrier_cbs": part.barrier_callbacks,
        "irqreader": part.interrupts,
        "reader_kinds": list(t.READER_KINDS),
        "faults": list(loaded.scenario.faults.inject),
        "not_controlled": "which CPU runs when: the operating system decides, and another run differs",
    }
