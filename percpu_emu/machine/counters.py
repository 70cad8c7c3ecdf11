"""Which counters a memory cgroup has, where they lie, and what they and their ledgers say.

A counter is an atomic twin in the kernel's memory, and a slot on every CPU while the cgroup has slots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from percpu_emu.kernel.layout import (
    EVENTS,
    LRUVEC_STAT,
    LRUVEC_STAT_CPU,
    LRUVEC_STAT_CPU_OFFLINED,
    MEMCG_LIST,
    MEMCG_NEXT,
    MEMCG_NR_STAT,
    NODEINFO,
    NR_VM_EVENT_ITEMS,
    NR_VM_NODE_STAT_ITEMS,
    STAT,
    VMEVENTS,
    VMSTATS,
    VMSTATS_PERCPU,
    VMSTATS_PERCPU_OFFLINED,
    Item,
    VmEvent,
)

if TYPE_CHECKING:
    from percpu_emu.machine.memory import MachineMemory

PAGE_WORDS = 512


@dataclass(frozen=True)
class CounterArray:
    """A row of `count` counters: their twins at `twins`, their slots at per-CPU pointer `slots`, 0 if released."""

    memcg: int
    kind: str
    twins: int
    slots: int
    count: int

    def name(self, index: int) -> str:
        """The counter's name, for people."""
        if self.kind == "event":
            known = {event.value: event.name for event in VmEvent}
            return f"event {known.get(index, index)}"
        return f"{Item(index).name} ({self.kind})" if self.kind != "stat" else Item(index).name

    def values(self, memory: MachineMemory) -> npt.NDArray[np.int64]:
        """Twin plus every CPU's slot, for each counter. Exact while nothing is updated."""
        twins = memory.words[self.twins : self.twins + self.count]
        if not self.slots:
            return twins.copy()
        totals: npt.NDArray[np.int64] = twins + memory.slots(self.slots, self.count).sum(axis=0)
        return totals

    def ledger(self, memory: MachineMemory) -> npt.NDArray[np.int64]:
        """What all CPUs together know they added to each counter."""
        total = np.zeros(self.count, dtype=np.int64)
        for page in range(self.twins // PAGE_WORDS, (self.twins + self.count - 1) // PAGE_WORDS + 1):
            start, end = max(self.twins, page * PAGE_WORDS), min(self.twins + self.count, (page + 1) * PAGE_WORDS)
            for words in memory.ledger_pages(page).values():
                total[start - self.twins : end - self.twins] += words[start % PAGE_WORDS :][: end - start]
        return total

    def clear_ledger(self, memory: MachineMemory) -> None:
        """Forget them: the structure is freed, and the next one there begins at zero."""
        for page in range(self.twins // PAGE_WORDS, (self.twins + self.count - 1) // PAGE_WORDS + 1):
            start, end = max(self.twins, page * PAGE_WORDS), min(self.twins + self.count, (page + 1) * PAGE_WORDS)
            for words in memory.ledger_pages(page).values():
                words[start % PAGE_WORDS :][: end - start] = 0


def counter_arrays(memory: MachineMemory, memcg: int) -> Iterator[CounterArray]:
    """All counters of a memory cgroup. Slots swapped out but not yet flushed count as its own."""
    words = memory.words
    slots = int(words[memcg + VMSTATS_PERCPU]) or int(words[memcg + VMSTATS_PERCPU_OFFLINED])
    yield CounterArray(memcg, "stat", memcg + VMSTATS, slots and slots + STAT, MEMCG_NR_STAT)
    yield CounterArray(memcg, "event", memcg + VMEVENTS, slots and slots + EVENTS, NR_VM_EVENT_ITEMS)
    for nid in range(memory.topology.nodes):
        if pn := int(words[memcg + NODEINFO + nid]):
            lruvec = int(words[pn + LRUVEC_STAT_CPU]) or int(words[pn + LRUVEC_STAT_CPU_OFFLINED])
            yield CounterArray(memcg, f"node {nid}", pn + LRUVEC_STAT, lruvec, NR_VM_NODE_STAT_ITEMS)


def slot_areas(memory: MachineMemory, memcg: int) -> Iterator[tuple[int, str]]:
    """The areas of a memory cgroup's slots: percpu pointer in words, and which structure it is."""
    words = memory.words
    yield int(words[memcg + VMSTATS_PERCPU]), "memcg_vmstats_percpu"
    for nid in range(memory.topology.nodes):
        yield int(words[int(words[memcg + NODEINFO + nid]) + LRUVEC_STAT_CPU]), f"lruvec_stat of node {nid}"


def memory_cgroups(memory: MachineMemory) -> Iterator[int]:
    """Every memory cgroup that is not released, from the kernel's list."""
    memcg = int(memory.words[MEMCG_LIST])
    while memcg:
        yield memcg
        memcg = int(memory.words[memcg + MEMCG_NEXT])


def find_counter(memory: MachineMemory, address: int) -> tuple[CounterArray, int] | None:
    """The counter whose twin is at `address`: its array and its index there; None if no cgroup has it any more."""
    for memcg in memory_cgroups(memory):
        for array in counter_arrays(memory, memcg):
            if array.twins <= address < array.twins + array.count:
                return array, address - array.twins
    return None
