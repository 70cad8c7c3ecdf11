"""CPU hotplug: a ladder of states that a CPU climbs and comes down, with a callback at each.

kernel/cpu.c, as far as its order goes. A scenario lists its states as the kernel's subsystems do:

    cpu_up, cpu_down, cpu_target = cpuhp_setup_states(
        prepare("slots", alloc_slots, free_slots),
        online("count", count_in, count_out),
    )

A callback is a program that takes the number of the CPU. On the way up the startups run in order, those of `prepare` on
the control CPU before the CPU is on line, those of `online` on the CPU itself. On the way down the teardowns run in the
opposite order, those of `prepare` when the CPU is off line. One that gives another number than 0 has failed: what was
done on this trip is undone, the last first. States are counted from 1 in the order of the list, with one between
the two sections in which the CPU goes on or off line; 0 is CPUHP_OFFLINE, and the highest CPUHP_ONLINE, where all CPUs
are at first. All of it is under `cpus_write_lock`. The callbacks that the kernel runs with interrupts off, on a CPU
that starts or dies, are left out, and so is the CPU's own thread: the task that changes the state goes to that CPU for
its callbacks, and comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from percpu_emu.kernel.cpus_lock import cpus_write_lock, cpus_write_unlock
from percpu_emu.kernel.layout import CPUHP_STATE
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    bringup_cpu,
    migrate_to,
    per_cpu,
    read_once,
    smp_mb,
    smp_processor_id,
    takedown_cpu,
    warn_on,
    write_once,
)
from percpu_emu.lang.source import is_program
from percpu_emu.lang.specialised import specialised
from percpu_emu.lang.structures import Struct, Word


class CpuhpCpuState(Struct):
    """On every CPU: its state, less CPUHP_ONLINE."""

    state: Word


cpuhp_state = CpuhpCpuState.at(CPUHP_STATE)


@dataclass(frozen=True)
class CpuhpState:
    """A state: its name, the programs that lead to it and back, which take the CPU's number, and where they run."""

    name: str
    startup: ProgramFunction
    teardown: ProgramFunction
    on_cpu: bool

    def __post_init__(self) -> None:
        for what, program in (("startup", self.startup), ("teardown", self.teardown)):
            if not is_program(program) or program.__code__.co_argcount != 1:
                raise ValueError(f"CPU hotplug state {self.name}: its {what} is a program with one parameter, the CPU")


def prepare(name: str, startup: ProgramFunction | None, teardown: ProgramFunction | None) -> CpuhpState:
    """A state of the section PREPARE, whose callbacks run on the control CPU, while the CPU is off line. None: none."""
    return CpuhpState(name, startup or nothing, teardown or nothing, on_cpu=False)


def online(name: str, startup: ProgramFunction | None, teardown: ProgramFunction | None) -> CpuhpState:
    """A state of the section ONLINE, whose callbacks run on the CPU itself, where they may sleep. None: none."""
    return CpuhpState(name, startup or nothing, teardown or nothing, on_cpu=True)


class Cpuhp(NamedTuple):
    """What changes the state of a CPU: programs, which give 0, or what a callback gave that has failed."""

    cpu_up: ProgramFunction
    """`(cpu)`: to CPUHP_ONLINE."""
    cpu_down: ProgramFunction
    """`(cpu)`: to CPUHP_OFFLINE."""
    cpu_target: ProgramFunction
    """`(cpu, state)`: to that state, whichever way."""


def cpuhp_setup_states(*states: CpuhpState) -> Cpuhp:
    """The ladder of these states, lowest first. Raises ValueError for a state of PREPARE above one of ONLINE."""
    sections = [state.on_cpu for state in states]
    if sections != sorted(sections):
        late = next(state for below, state in pairwise(states) if below.on_cpu and not state.on_cpu)
        raise ValueError(f"CPU hotplug state {late.name}: states of PREPARE stand below those of ONLINE")
    middle = sections.count(False)
    ladder = [*states[:middle], CpuhpState("cpu", bring_up, take_down, on_cpu=False), *states[middle:]]
    callback: ProgramFunction = cpuhp_invoke_callback
    for number, state in enumerate(ladder, 1):
        program = cpuhp_invoke_ap_callback if state.on_cpu else cpuhp_invoke_here
        names = {"startup": state.startup, "teardown": state.teardown, "cpuhp_invoke_callback": callback}
        callback = specialised(program, STATE=number, **names)
    step = specialised(cpuhp_step, cpuhp_invoke_callback=callback)
    target = specialised(cpu_target, cpuhp_step=step, CPUHP_ONLINE=len(ladder))
    up = specialised(cpu_up, to_state=target, CPUHP_ONLINE=len(ladder))
    return Cpuhp(up, specialised(cpu_down, to_state=target), target)


# --- the programs, in which `cpuhp_setup_states` has names stand for the states of a ladder

CPUHP_OFFLINE: Final = 0
CPUHP_ONLINE: Final = -1
STATE: Final = 0


def cpu_up(cpu: int) -> Program[int]:
    """Bring a CPU all the way up."""
    return (yield from to_state(cpu, CPUHP_ONLINE))


def cpu_down(cpu: int) -> Program[int]:
    """Bring a CPU all the way down."""
    return (yield from to_state(cpu, CPUHP_OFFLINE))


def cpu_target(cpu: int, target: int) -> Program[int]:
    """Bring a CPU to a state, under the lock; back to where it was if a callback fails."""
    yield from cpus_write_lock()
    first = CPUHP_ONLINE + (yield read_once(per_cpu(cpuhp_state.state, cpu)))
    state = first
    failed = 0
    while state != target and not failed:
        failed = yield from cpuhp_step(state, cpu, target > state)
        if not failed:
            state += 1 if target > state else -1
    while state != first and failed:  # what a callback gives on the way back is not looked at
        yield from cpuhp_step(state, cpu, first > state)
        state += 1 if first > state else -1
    yield write_once(per_cpu(cpuhp_state.state, cpu), state - CPUHP_ONLINE)
    yield from cpus_write_unlock()
    return failed


def cpuhp_step(state: int, cpu: int, up: int) -> Program[int]:
    """The callback that leads from a state to the next one: a startup on the way up, else a teardown."""
    return (yield from cpuhp_invoke_callback(state + up, cpu, up))


def cpuhp_invoke_callback(state: int, cpu: int, up: int) -> Program[int]:
    """There is no such state."""
    yield warn_on(state + cpu + up + 1)
    return 0


def cpuhp_invoke_here(state: int, cpu: int, up: int) -> Program[int]:
    """The callback of a state of PREPARE, or of one below it."""
    if state != STATE:
        return (yield from cpuhp_invoke_callback(state, cpu, up))
    if up:
        return (yield from startup(cpu))
    return (yield from teardown(cpu))


def cpuhp_invoke_ap_callback(state: int, cpu: int, up: int) -> Program[int]:
    """The callback of a state of ONLINE, on the CPU itself, or of one below it."""
    if state != STATE:
        return (yield from cpuhp_invoke_callback(state, cpu, up))
    control = yield smp_processor_id()
    yield migrate_to(cpu)
    failed = (yield from startup(cpu)) if up else (yield from teardown(cpu))
    yield migrate_to(control)
    return failed


def bring_up(cpu: int) -> Program[int]:
    """The startup between the sections."""
    return (yield bringup_cpu(cpu))


def take_down(cpu: int) -> Program[int]:
    """The teardown between the sections: the tasks of the CPU go on on others."""
    return (yield takedown_cpu(cpu))


def nothing(_cpu: int) -> Program[int]:
    """No callback."""
    yield smp_mb()
    return 0


def no_ladder(_cpu: int, _target: int) -> Program[int]:
    """What `cpu_up` and `cpu_down` of this module come to, which have no states."""
    yield warn_on(1)
    return 0


startup = teardown = nothing
to_state = no_ladder
