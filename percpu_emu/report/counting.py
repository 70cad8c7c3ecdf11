"""The counters of a running machine beside its ledgers, exact although CPUs update them all the time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from percpu_emu.kernel.layout import VMSTATS_PERCPU
from percpu_emu.machine.counters import CounterArray, counter_arrays
from percpu_emu.machine.deaths import Doubt, doubts_of

if TYPE_CHECKING:
    from percpu_emu.machine import Cgroup, CgroupTree, Machine

MOST_CGROUPS: Final = 4
MOST_COUNTERS: Final = 5
"""Of each cgroup, that are drawn."""
MOST_SLOTS: Final = 16
_MOST_DOUBTS: Final = 6


@dataclass(frozen=True)
class CounterPicture:
    """One counter: its atomic twin, what each CPU's slot holds, both together, and what the CPUs know they added."""

    name: str
    twin: int
    slots: list[int]
    """Empty where they are released."""
    counted: int
    ledger: int
    difference: int | None
    """By how much the counter is off, once the updates that CPUs are in the middle of are left out; None: not known."""
    in_flight: list[str]
    """These updates, where they explain that the two figures differ."""


@dataclass(frozen=True)
class CgroupPicture:
    """One cgroup that CPUs update."""

    path: str
    state: str
    has_slots: bool
    """Whether the published pointer leads to slots; else it is NULL, and updates go to the twin."""
    counters: list[CounterPicture]


def cgroup_pictures(machine: Machine, tree: CgroupTree, *, still: bool) -> list[CgroupPicture]:
    """The first cgroups of the table. `still`: no CPU takes a step meanwhile, so that what is in flight is known."""
    found = dict.fromkeys(filter(None, map(tree.table.entry, range(len(tree.table)))))
    doubts = [doubt for cpu in machine.cpus.online for doubt in doubts_of(machine.memory, cpu)] if still else None
    return [_cgroup(machine, cgroup, doubts) for cgroup in list(found)[:MOST_CGROUPS]]


def _cgroup(machine: Machine, cgroup: Cgroup, doubts: list[Doubt] | None) -> CgroupPicture:
    counters = [
        counter for array in counter_arrays(machine.memory, cgroup.memcg) for counter in _moved(machine, array, doubts)
    ]
    has_slots = bool(machine.memory.words[cgroup.memcg + VMSTATS_PERCPU])
    return CgroupPicture(str(cgroup), cgroup.state, has_slots, counters[:MOST_COUNTERS])


def _moved(machine: Machine, array: CounterArray, doubts: list[Doubt] | None) -> list[CounterPicture]:
    """The counters that anything was ever added to."""
    memory = machine.memory
    counted, ledger = array.values(memory), array.ledger(memory)
    pictures = []
    for index in ((counted != 0) | (ledger != 0)).nonzero()[0].tolist():
        slots = memory.slots(array.slots + index, 1)[:MOST_SLOTS, 0].tolist() if array.slots else []
        off = int(counted[index] - ledger[index])
        here = [doubt for doubt in doubts or () if doubt.address == array.twins + index]
        explained = off != 0 and any(sum(outcomes) == off for outcomes in _outcomes(here))
        pictures.append(
            CounterPicture(
                array.name(index),
                int(memory.words[array.twins + index]),
                slots,
                int(counted[index]),
                int(ledger[index]),
                None if doubts is None else 0 if explained else off,
                [f"CPU {doubt.cpu}: {doubt.delta:+d}" for doubt in here] if explained else [],
            )
        )
    return pictures


def _outcomes(doubts: list[Doubt]) -> itertools.product[tuple[int, ...]]:
    return itertools.product(*[doubt.outcomes for doubt in doubts[:_MOST_DOUBTS]])
