"""A machine's shared memory: the kernel's, the per-CPU areas, the control blocks and the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from percpu_emu.kernel.arena import Arena
from percpu_emu.kernel.layout import BOOT, BOOT_ORDER, CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, MASK_WORDS, cpumask_of
from percpu_emu.kernel.slab import SlabAllocator
from percpu_emu.lang import context as c
from percpu_emu.lang.context import Context
from percpu_emu.percpu import AreaLayout, PerCpuAllocator, SharedPages
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment

PERCPU_CHUNKS: Final = 1024
KERNEL_PAGES: Final = 1 << 20
PAGE_WORDS: Final = PAGE_SIZE // WORD_SIZE


@dataclass(frozen=True)
class Topology:
    """Which CPUs a machine may have: their number on each NUMA node."""

    cpus_per_node: tuple[int, ...]

    @classmethod
    def spread(cls, cpus: int, nodes: int) -> Topology:
        """`cpus` spread over `nodes` as evenly as it goes."""
        return cls(tuple(cpus // nodes + (node < cpus % nodes) for node in range(nodes)))

    @property
    def cpus(self) -> int:
        """Possible CPUs."""
        return sum(self.cpus_per_node)

    @property
    def nodes(self) -> int:
        """NUMA nodes."""
        return len(self.cpus_per_node)


class MachineMemory:
    """The segments, each at the same address in every process that is forked later."""

    def __init__(self, topology: Topology, layout: AreaLayout) -> None:
        self.topology = topology
        self._kernel = Segment("kernel", KERNEL_PAGES * PAGE_SIZE)
        self._control = Segment("control", _whole_pages(c.control_words(self.contexts) * WORD_SIZE))
        self._ledgers = Segment("ledgers", KERNEL_PAGES * PAGE_SIZE * topology.cpus)
        self._pages = SharedPages(layout, PERCPU_CHUNKS)
        self.layout = layout
        self.percpu = PerCpuAllocator(layout, self._pages)
        arena = Arena(self._kernel)
        if arena.alloc_pages(BOOT_ORDER) != BOOT * WORD_SIZE:
            raise AssertionError("boot data has to be the first thing in the kernel's memory")
        self.slab = SlabAllocator(arena, topology.cpus)
        self.words: npt.NDArray[np.int64] = self._kernel.words
        self.header: npt.NDArray[np.int64] = self._control.words[: c.HEADER_WORDS]
        blocks = self._control.words[c.HEADER_WORDS : c.control_words(self.contexts)]
        self.blocks: npt.NDArray[np.int64] = blocks.reshape(self.contexts, c.BLOCK_WORDS)
        self._boot()

    @property
    def coordinator(self) -> int:
        """Number of the coordinator's context, after those of the CPUs."""
        return self.topology.cpus

    @property
    def contexts(self) -> int:
        """Control blocks: one for each CPU, the coordinator's, one for each CPU's interrupts."""
        return 2 * self.topology.cpus + 1

    def interrupt(self, cpu: int) -> int:
        """Number of the context of a CPU's interrupts."""
        return self.topology.cpus + 1 + cpu

    @property
    def header_address(self) -> int:
        """Where the control segment begins."""
        return self._control.address

    def context(self, number: int) -> Context:
        """What the programs of a CPU, of the coordinator, or of a CPU's interrupts are given."""
        cpu = number if number < self.topology.cpus else number - self.interrupt(0)
        is_cpu = cpu >= 0
        percpu = self._pages.segment.address
        return Context(
            memory=self._kernel.address,
            percpu=percpu,
            unit=percpu + self.layout.unit_offset(cpu) if is_cpu else c.NO_UNIT,
            block=self.block_address(number),
            ledger=self._ledgers.address + cpu * PAGE_SIZE if is_cpu else c.NO_UNIT,
            header=self.header_address,
        )

    def block_address(self, number: int, word: int = 0) -> int:
        """The address of a word of a control block."""
        return self.header_address + (c.block_offset(number) + word) * WORD_SIZE

    def word_address(self, word: int) -> int:
        """The address of a word of the kernel's memory."""
        return self._kernel.address + word * WORD_SIZE

    @property
    def guarded(self) -> range:
        """Addresses of the kernel's memory and the per-CPU areas together; what lies between is nobody's."""
        segments = (self._kernel, self._pages.segment)
        return range(min(s.address for s in segments), max(s.address + s.size for s in segments))

    def slots(self, pointer: int, words: int) -> npt.NDArray[np.int64]:
        """Every CPU's copy of `words` words at a per-CPU pointer: an array of shape (CPUs, words)."""
        segment = self._pages.segment
        starts = [pointer + self.layout.unit_offset(cpu) // WORD_SIZE for cpu in range(self.topology.cpus)]
        return np.stack([segment.words[start : start + words] for start in starts])

    def ledger_pages(self, page: int) -> dict[int, npt.NDArray[np.int64]]:
        """For one page of the kernel's memory, the ledger pages that exist: CPU -> its words. Nothing is allocated."""
        stride = self.topology.cpus * PAGE_SIZE
        found: dict[int, npt.NDArray[np.int64]] = {}
        for offset in self._ledgers.data_pages(page * stride, stride):
            start = offset // WORD_SIZE
            found[(offset - page * stride) // PAGE_SIZE] = self._ledgers.words[start : start + PAGE_WORDS]
        return found

    def ledger_page(self, cpu: int, page: int) -> npt.NDArray[np.int64]:
        """One CPU's ledger for one page of the kernel's memory; made if it is not there."""
        start = (page * self.topology.cpus + cpu) * PAGE_WORDS
        return self._ledgers.words[start : start + PAGE_WORDS]

    def set_online(self, cpus: Sequence[int]) -> None:
        """Write cpu_online_mask."""
        self._write_mask(CPU_ONLINE_MASK, cpus)

    def held_pages(self) -> dict[str, int]:
        """Pages that the operating system says each segment holds."""
        segments = (self._kernel, self._pages.segment, self._control, self._ledgers)
        return {segment.name: segment.held_pages() for segment in segments}

    def close(self) -> None:
        """Close the descriptors; the memory is gone when the last process is."""
        for segment in (self._kernel, self._pages.segment, self._control, self._ledgers):
            segment.close()

    def _boot(self) -> None:
        topology = self.topology
        self._write_mask(CPU_POSSIBLE_MASK, range(topology.cpus))
        for cpu in range(topology.cpus):
            self._write_mask(cpumask_of(cpu), [cpu])
            self.header[c.UNIT_OFFSETS + cpu] = self.layout.unit_offset(cpu) // WORD_SIZE
        self.header[c.GP_SEQ] = self.header[c.GP_DONE] = 1
        self.header[c.NR_CPU_IDS] = topology.cpus
        self.header[c.NR_NODE_IDS] = topology.nodes
        self.header[c.LEDGER_STRIDE] = topology.cpus * PAGE_SIZE
        for number in range(self.contexts):
            self.blocks[number, c.CPU] = number if number <= topology.cpus else number - self.interrupt(0)
            self.blocks[number, c.HEADER] = self.header_address
            own = self.context(number)
            self.blocks[number, c.UNIT] = own.unit
            self.blocks[number, c.OWN : c.OWN + len(own)] = own
        for cpu in range(topology.cpus):
            self.blocks[cpu, c.INTERRUPT] = self.block_address(self.interrupt(cpu))

    def _write_mask(self, mask: int, cpus: Sequence[int]) -> None:
        words = [sum(1 << (cpu % 64) for cpu in cpus if cpu // 64 == word) for word in range(MASK_WORDS)]
        self.words[mask : mask + MASK_WORDS] = np.array(words, dtype=np.uint64).view(np.int64)


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_SIZE) * PAGE_SIZE
