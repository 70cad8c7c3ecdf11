"""Ten times a second, what a machine has counted so far, as an event: rates and latencies over time come from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from percpu_emu.lang import context as c

if TYPE_CHECKING:
    from percpu_emu.machine import CgroupTree, Machine

SAMPLE_SECONDS: Final = 0.1

Counts: TypeAlias = "Callable[[], Mapping[str, int]]"


class Sampler:
    """Emits `sample`: `counts` since the start by the names of their figures, `grace_periods` since the last sample.

    The latter are the seconds that each of them took. The first sample is taken at once.
    """

    def __init__(self, machine: Machine, counts: Counts) -> None:
        self._machine = machine
        self._counts = counts
        self._grace_periods = 0
        self._next = time.monotonic() + SAMPLE_SECONDS
        self.take()

    def attend(self, now: float) -> None:
        """Take a sample where that is due."""
        if now >= self._next:
            self._next = now + SAMPLE_SECONDS
            self.take()

    def take(self) -> None:
        """Take a sample."""
        rcu = self._machine.rcu
        new, self._grace_periods = rcu.ended - self._grace_periods, rcu.ended
        latest = list(islice(reversed(rcu.latencies), new))
        self._machine.events.emit("sample", counts=dict(self._counts()), grace_periods=latest)


def sample_work(machine: Machine, tree: CgroupTree) -> Sampler:
    """A sampler of the work of CPUs on cgroups; the coordinator calls it whenever it polls."""
    blocks, cpus = machine.memory.blocks, machine.topology.cpus

    def counts() -> dict[str, int]:
        counted = {"updates": int(blocks[:, c.UPDATES].sum()), "releases": tree.releases}
        if machine.config.interrupts:
            counted["interrupts"] = int(blocks[:cpus, c.IRQS].sum())
        return counted

    return _attending(machine, counts)


def sample_interrupts(machine: Machine) -> Sampler:
    """A sampler of a machine without cgroups."""
    return _attending(machine, lambda: {"interrupts": int(machine.memory.blocks[:, c.IRQS].sum())})


def _attending(machine: Machine, counts: Counts) -> Sampler:
    sampler = Sampler(machine, counts)
    machine.attend(sampler)
    return sampler
