"""A machine's shared memory: the kernel's, the per-CPU areas, the control blocks and the ledgers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from percpu_emu.kernel.arena import Arena
from percpu_emu.kernel.layout import BOOT, BOOT_ORDER, CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, MASK_WORDS, cpumask_of
from percpu_emu.kernel.slab import SlabAllocator
from percpu_emu.lang import context as c
from percpu_emu.lang.context import Context
from percpu_emu.percpu import AreaBook, AreaLayout, GuardedPerCpu, PerCpuAllocator, SharedPages
from percpu_emu.percpu.layout import spread
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment
from percpu_emu.shm.mapping import forbid

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
        return cls(spread(cpus, nodes))

    @cached_property
    def cpus(self) -> int:
        """Possible CPUs."""
        return sum(self.cpus_per_node)

    @property
    def nodes(self) -> int:
        """NUMA nodes."""
        return len(self.cpus_per_node)


class PerCpuMemory(Protocol):
    """The per-CPU memory of a machine: an allocator, and the pages that it hands out."""

    @property
    def layout(self) -> AreaLayout:
        """Where each CPU's copy lies."""

    @property
    def book(self) -> AreaBook:
        """What is known of its areas."""

    @property
    def address(self) -> int:
        """Where percpu pointer 0 of unit 0 lies."""

    @property
    def size(self) -> int:
        """Bytes of addresses."""

    @property
    def words(self) -> npt.NDArray[np.int64]:
        """All of it. To look where no page is makes one, or traps."""

    @property
    def balance_pending(self) -> bool:
        """Whether `balance` is due."""

    @property
    def nr_populated(self) -> int:
        """Pages of one unit."""

    @property
    def percpu_kb(self) -> int:
        """`Percpu:` of /proc/meminfo, in kB."""

    def alloc(self, size: int, align: int = 8) -> int:
        """A zeroed area on every CPU: its percpu pointer in bytes."""

    def free(self, p: int) -> None:
        """Take it back."""

    def balance(self) -> None:
        """The balance work."""

    def os_pages_expected(self) -> int:
        """Pages that have to be backed."""

    def held_pages(self) -> int:
        """Pages that the operating system says are."""

    def stray_pages(self) -> list[str]:
        """Pages that were taken away and came back because something touched them; for people."""

    def describe(self, address: int) -> str | None:
        """What an address belongs, or belonged, to, for people; None where it is not in this memory."""

    def close(self) -> None:
        """Give it back."""


class PagedPerCpu(PerCpuAllocator):
    """The kernel's allocator on shared pages."""

    def __init__(self, layout: AreaLayout, who: Callable[[], str], *, depopulates: bool = False) -> None:
        self.book = AreaBook(who)
        self._shared = SharedPages(layout, PERCPU_CHUNKS)
        try:
            super().__init__(layout, self._shared, depopulates=depopulates)
        except BaseException:
            self._shared.segment.close()
            raise
        self.address: int = self._shared.segment.address
        self.size: int = self._shared.segment.size
        self.words: npt.NDArray[np.int64] = self._shared.segment.words

    def held_pages(self) -> int:
        """Pages that the operating system says the segment holds."""
        return self._shared.held_pages()

    def stray_pages(self) -> list[str]:
        """Pages that hold data and are not populated: something has touched them after they were given back."""
        units = {unit: cpu for cpu, unit in enumerate(self.layout.units)}
        return [
            f"page {page} of chunk {chunk}, CPU {units[unit]}{self._freed_there(chunk, page)}"
            if unit in units
            else f"a unit of no CPU, chunk {chunk}"
            for chunk, unit, page in self._shared.touched()
            if unit not in units or not self.is_populated(chunk, page)
        ]

    def describe(self, address: int) -> str | None:
        """Which word of which CPU."""
        if not self.address <= address < self.address + self.size:
            return None
        chunk, inside = divmod(address - self.address, self.layout.chunk_size)
        return f"byte {inside % self.layout.unit_size} of unit {inside // self.layout.unit_size}, chunk {chunk}"

    def close(self) -> None:
        """Close the segment."""
        self._shared.segment.close()

    def _freeing(self, p: int, size: int) -> None:
        self.book.freed(p, size)

    def _freed_there(self, chunk: int, page: int) -> str:
        start = chunk * self.layout.chunk_size + page * PAGE_SIZE
        area = self.book.last_in(start, start + PAGE_SIZE)
        return f", where last was {area}" if area else ""


class MachineMemory:
    """The segments, each at the same address in every process that is forked later."""

    def __init__(
        self,
        topology: Topology,
        layout: AreaLayout,
        who: Callable[[], str],
        *,
        guard: bool = False,
        depopulates: bool = False,
    ) -> None:
        """`who()` says, for people, who is allocating or freeing. `guard`: areas trap once they are freed.

        `depopulates`: the allocator gives empty pages of chunks in use back; the guard gives back every one.
        """
        self.topology = topology
        with ExitStack() as undo:
            self._kernel = undo.enter_context(closing(Segment("kernel", KERNEL_PAGES * PAGE_SIZE)))
            control = _whole_pages(c.control_words(self.contexts) * WORD_SIZE)
            self._control = undo.enter_context(closing(Segment("control", control)))
            ledgers = KERNEL_PAGES * PAGE_SIZE * topology.cpus
            self._ledgers = undo.enter_context(closing(Segment("ledgers", ledgers)))
            self._pages: PerCpuMemory = (
                GuardedPerCpu(layout, who) if guard else PagedPerCpu(layout, who, depopulates=depopulates)
            )
            undo.callback(self._pages.close)
            self._set_up()
            undo.pop_all()

    def _set_up(self) -> None:
        self.percpu = self._pages
        """The allocator; `machine.rounds` puts another one in its place."""
        self.layout = self._pages.layout
        self._arena = arena = Arena(self._kernel)
        if arena.alloc_pages(BOOT_ORDER) != BOOT * WORD_SIZE:
            raise AssertionError("boot data has to be the first thing in the kernel's memory")
        self.slab = SlabAllocator(arena, self.topology.cpus)
        forbid(self._kernel.address, PAGE_SIZE)  # where NULL points to, and a field of NULL
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
        percpu = self._pages.address
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
    def segments(self) -> list[range]:
        """The addresses of the kernel's memory, and of the per-CPU areas."""
        return [range(s.address, s.address + s.size) for s in (self._kernel, self._pages)]

    @property
    def guarded(self) -> range:
        """Addresses of the kernel's memory and the per-CPU areas together; what lies between belongs to neither."""
        return range(min(s.start for s in self.segments), max(s.stop for s in self.segments))

    def describe(self, address: int) -> str:
        """What lies at an address, for people."""
        if found := self._pages.describe(address):
            return found
        if 0 <= address - self._kernel.address < self._kernel.size:
            return f"word {(address - self._kernel.address) // WORD_SIZE:#x} of the kernel's memory"
        if address == 0:
            return "an address that cannot be mapped; the processor does not say which"
        return f"address {address:#x}, which belongs to no memory of the machine"

    def slots(self, pointer: int, words: int) -> npt.NDArray[np.int64]:
        """Every CPU's copy of `words` words at a per-CPU pointer: an array of shape (CPUs, words)."""
        starts = [pointer + self.layout.unit_offset(cpu) // WORD_SIZE for cpu in range(self.topology.cpus)]
        return np.stack([self._pages.words[start : start + words] for start in starts])

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
        segments = (self._kernel, self._control, self._ledgers)
        return {segment.name: segment.held_pages() for segment in segments} | {"percpu": self._pages.held_pages()}

    def stray_pages(self) -> list[str]:
        """Pages that were given back to the operating system and are there again: something has touched them."""
        kernels = [f"page {page} of the kernel's memory" for page in self._arena.stray_pages()]
        return kernels + [f"per-CPU memory: {page}" for page in self._pages.stray_pages()]

    def close(self) -> None:
        """Close the descriptors; the memory is gone when the last process is."""
        for memory in (self._kernel, self._pages, self._control, self._ledgers):
            memory.close()

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
