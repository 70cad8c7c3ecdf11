"""Running a scenario that tortures RCU: writers, readers of every kind, barrier tests, with pauses in between."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from percpu_emu.kernel import rcutorture as t
from percpu_emu.kernel.layout import CGROUP_TABLE
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang import context as c
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.machine import CpuDied, EventStream, Machine, MachineConfig, Trapped
from percpu_emu.machine.interrupts import Interrupts
from percpu_emu.machine.rcu import NoGracePeriod, Rcu
from percpu_emu.scenario.expect import expectation_checks
from percpu_emu.scenario.load import Loaded
from percpu_emu.scenario.machines import UNTOUCHED, config_of, fault_notes, faults_of, machine_of
from percpu_emu.scenario.protocol_runs import RunResult
from percpu_emu.scenario.sampling import sample_interrupts
from percpu_emu.scenario.schema import Scenario, TorturePart
from percpu_emu.scenario.verdict import Check, verdict_of
from percpu_emu.shm.awake import LONGEST_ACTION, AwakeClock

WRITER, FAKEWRITER, READER = range(3)
_WORKERS: Final[list[ProgramFunction]] = [t.torture_writer, t.torture_fakewriter, t.torture_reader]
TORTURERS: Final[tuple[ProgramFunction, ...]] = (*_WORKERS, t.torture_irq_reader, t.torture_barrier, t.torture_post)
"""Everything that runs in a torture."""
_STRETCH: Final = {WRITER: 4, FAKEWRITER: 4, READER: 256}
BARRIER_SECONDS: Final = 0.1
"""Between two barrier tests."""
CALLBACKS: Final = 16
"""That a CPU posts at a time; RCU runs 10 in one go."""
LONGEST_WAIT: Final = 0.004
"""Seconds between the posts and the barrier, at most."""


@dataclass
class _Counts:
    """What the coordinator counts itself."""

    barriers: int = 0
    barrier_errors: int = 0
    stutters: int = 0


def run_torture(loaded: Loaded, events: EventStream) -> RunResult:
    """Torture for the scenario's seconds. Raises ScenarioError, and what the machine raises."""
    scenario, part = loaded.scenario, loaded.scenario.torture
    assert part is not None
    counts = _Counts()
    with machine_of(loaded, _config(loaded, part), events) as machine:
        torture = machine.execute(t.torture_init)
        machine.memory.words[CGROUP_TABLE : CGROUP_TABLE + 2] = [1, torture]
        sampler = sample_interrupts(machine)
        try:
            cut_short = _torture(machine, scenario, part, torture, counts)
            machine.rest()
            machine.settle()
            sampler.take()
            figures = _figures(machine, torture, counts)
            checks = [*_checks(figures), *expectation_checks(loaded, figures)]
        except Trapped as trap:
            figures, checks, cut_short = {}, [Check(UNTOUCHED, False, str(trap))], None
        notes = fault_notes(machine.faults)
    cut_short = cut_short or (_idle(figures) if figures else None)
    notes += [cut_short] if cut_short else []
    return RunResult(loaded, verdict_of(checks, cut_short), checks, figures, _scope(loaded, part), notes)


def _config(loaded: Loaded, part: TorturePart) -> MachineConfig:
    config = config_of(loaded, PROTOCOLS["patched"])
    everyone = range(config.topology.cpus)
    image = Image(
        [t.torture_callback, t.torture_counted],
        _WORKERS,
        [t.torture_init, t.torture_post, t.torture_barrier],
        [t.torture_irq_reader],
        instrumented=bool(config.faults) or config.guard,
    )
    interrupts = [Interrupts(t.torture_irq_reader, everyone, part.interrupts)] if part.interrupts else []
    rcu = NoGracePeriod if part.broken else Rcu
    return replace(config, workers=_WORKERS, image=image, interrupts=interrupts, rcu=rcu)


def _torture(machine: Machine, scenario: Scenario, part: TorturePart, torture: int, counts: _Counts) -> str | None:
    """Until the time is over; why it was cut short, None if it was not."""
    awake = AwakeClock(gap=LONGEST_ACTION)
    pause_at, barrier_at = part.stutter, 0.0
    chance = random.Random(scenario.seed)
    _work(machine, part, machine.cpus.online)
    while (now := awake()) < scenario.seconds:
        machine.events.emit("progress", done=now, of=scenario.seconds)
        if not machine.cpus.online:
            return "no CPU is left online"
        if now >= barrier_at:
            _test_barrier(machine, part, torture, counts, chance)
            barrier_at = now + BARRIER_SECONDS
        if part.stutter and now >= pause_at:
            counts.stutters += 1
            machine.rest()
            machine.run_for(part.stutter / 4)
            _work(machine, part, machine.cpus.online)
            pause_at = awake() + part.stutter
        machine.poll_or_sleep()
        if scenario.faults.revive:
            _revive(machine, part)
    return None


def _work(machine: Machine, part: TorturePart, cpus: Sequence[int]) -> None:
    for cpu in cpus:
        worker = WRITER if cpu == 0 else FAKEWRITER if cpu <= part.fakewriters else READER
        machine.set_working(cpu, worker, CGROUP_TABLE, _STRETCH[worker], 0)


def _revive(machine: Machine, part: TorturePart) -> None:
    """Bring the CPUs up again that a fault has killed."""
    for cpu in set(range(machine.topology.cpus)).difference(machine.cpus.online):
        machine.online_cpu(cpu)
        _work(machine, part, [cpu])


def _test_barrier(machine: Machine, part: TorturePart, torture: int, counts: _Counts, chance: random.Random) -> None:
    """Callbacks posted on CPUs, and one more just before rcu_barrier: all have to have run when it returns.

    There are more of them than run in one go, and the wait in between is random: so the barrier comes while they
    are queued, wait for their grace period, or are being run.
    """
    machine.memory.words[torture + t.BARRIER_RAN] = 0
    try:
        posted = 1
        for _, cpu in zip(range(part.barrier_callbacks), itertools.cycle(machine.cpus.online), strict=False):
            machine.run_on(cpu, t.torture_post, torture, CALLBACKS)
            posted += CALLBACKS
        machine.run_for(chance.uniform(0, LONGEST_WAIT))
        ran = machine.run_on(machine.cpus.online[-1], t.torture_barrier, torture)
    except (CpuDied, IndexError):  # it is no CPU's fault that it was killed
        machine.settle()
        return
    counts.barriers += 1
    counts.barrier_errors += ran != posted


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
    read, published, tested = sum(pipe), figures["versions"], figures["barrier_tests"]
    judged = [
        ("no reader outlived a grace period", read, too_old, f"{too_old} of {read} saw an age of 2 or more"),
        ("no reader saw an element taken back", read, figures["rtmbe"], f"rtmbe: {figures['rtmbe']}"),
        ("no element went beyond the pipe", published, lost, f"the last stage of the circulation: {lost}"),
        ("rcu_barrier waits for every callback", tested, figures["rtbe"], f"{tested} tests"),
    ]
    return [Check(name, not wrong if wrong or seen else None, detail) for name, seen, wrong, detail in judged]


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
        "faults": faults_of(loaded.scenario),
        "not_controlled": "which CPU runs when: the operating system decides, and another run differs",
    }
