"""A running machine at one moment, as plain data: what a terminal and a browser draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang import context as c
from percpu_emu.machine.cpu_state import CpuState, cpu_state

if TYPE_CHECKING:
    from percpu_emu.machine import CgroupTree, Machine

STATES: Final = ("online", "dying", "offline", "released")
"""Of a cgroup that is not freed yet."""
_WAITS: Final = {c.SYNCHRONIZE_RCU: "a grace period", c.RCU_BARRIER: "callbacks"}


@dataclass(frozen=True)
class CpuPicture:
    """One CPU. `state`: offline, held, stopped, waiting, idle, in an interrupt, in a section, in an update, running."""

    cpu: int
    state: str
    waits_for: str
    """What a CPU that waits is waiting for."""
    doing: str
    """Its task, or the operation that it is at."""
    program: str
    """Where it is, in an instrumented program; "" elsewhere."""
    line: int
    text: str
    updates_per_s: float
    interrupts: int


@dataclass(frozen=True)
class KernelPicture:
    """The rest: RCU, cgroups, memory."""

    grace_period: int
    in_progress: bool
    waits_for: list[int]
    """CPUs that the grace period waits for."""
    grace_periods_ended: int
    cgroups: dict[str, int]
    """How many there are in each state."""
    dying: int
    releases: int
    caught: int
    percpu_kb: int
    slab_kb: int
    imbalances: list[str]
    """Counters of cgroups that are gone which differed from their ledgers."""


class Observer:
    """Looks at one machine, again and again; rates are those since its last look."""

    def __init__(self, machine: Machine, tree: CgroupTree) -> None:
        self._machine = machine
        self._tree = tree
        self._before: tuple[float, list[int]] = (0.0, [])

    def cpus(self, now: float, held: frozenset[int] = frozenset()) -> list[CpuPicture]:
        """Every possible CPU, at a time of `time.monotonic`; `held` are those that a person keeps where they are."""
        memory = self._machine.memory
        updates = memory.blocks[: memory.topology.cpus, c.UPDATES].tolist()
        (then, before), self._before = self._before, (now, updates)
        rates = [(n - m) / max(now - then, 1e-9) for n, m in zip(updates, before, strict=True)] if before else []
        return [self._cpu(cpu, rates[cpu] if rates else 0.0, held) for cpu in range(memory.topology.cpus)]

    def _cpu(self, cpu: int, rate: float, held: frozenset[int]) -> CpuPicture:
        online = cpu in self._machine.cpus.online
        now = cpu_state(self._machine.memory.blocks[cpu])
        site = self._machine.image.sites[now.site - 1] if online and now.site else None
        waits_for = _WAITS.get(now.asks, "memory") if online and now.asks else ""
        return CpuPicture(
            cpu,
            "held" if cpu in held else self._state(cpu, now),
            waits_for,
            "" if not online else f"{site.program}:{site.number} {site.text}" if site else self._machine.cpus.task(cpu),
            site.program if site else "",
            site.line if site else 0,
            site.text if site else "",
            round(rate),
            int(self._machine.memory.blocks[cpu, c.IRQS]),
        )

    def _state(self, cpu: int, now: CpuState) -> str:
        machine = self._machine
        starved = machine.chaos is not None and cpu in machine.chaos.starved
        holds = {
            "offline": cpu not in machine.cpus.online,
            "stopped": now.stopped or starved,
            "waiting": now.asks,
            "idle": now.idle,
            "in an interrupt": now.in_interrupt,
            "in a section": now.in_section,
            "in an update": now.in_update,
            "running": True,
        }
        return next(state for state, so in holds.items() if so)

    def kernel(self) -> KernelPicture:
        """Everything that is no CPU's."""
        machine, tree = self._machine, self._tree
        states = Counter(cgroup.state for cgroup in tree.living())
        return KernelPicture(
            grace_period=machine.rcu.done + machine.rcu.in_progress,
            in_progress=machine.rcu.in_progress,
            waits_for=machine.rcu.holdouts() if machine.rcu.in_progress else [],
            grace_periods_ended=machine.rcu.ended,
            cgroups={state: states[state] for state in STATES},
            dying=tree.root.nr_dying_descendants,
            releases=tree.releases,
            caught=tree.caught,
            percpu_kb=machine.memory.percpu.percpu_kb,
            slab_kb=machine.memory.slab.slab_kb,
            imbalances=list(dict.fromkeys(map(str, tree.audit.imbalances))),
        )


def as_data(picture: CpuPicture | KernelPicture) -> dict[str, Any]:
    """For JSON."""
    return asdict(picture)
