"""Where every CPU's memory lies: units of possible CPUs, in groups by NUMA node, as the embed allocator cuts them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from percpu_emu.percpu.bitmap import align_up
from percpu_emu.percpu.block import GRANULE
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

KB: Final = 1024
PERCPU_MODULE_RESERVE: Final = 8 * KB
PERCPU_DYNAMIC_RESERVE: Final = 28 * KB
PERCPU_DYNAMIC_EARLY_SIZE: Final = 12 * KB
PCPU_MIN_UNIT_SIZE: Final = 32 * KB
ATOM_SIZE: Final = 2048 * KB  # a large page of x86-64: the embed allocator takes its memory in these


def spread(cpus: int, nodes: int) -> tuple[int, ...]:
    """CPUs on each node: `cpus` spread over `nodes` as evenly as it goes."""
    return tuple(cpus // nodes + (node < cpus % nodes) for node in range(nodes))


@dataclass(frozen=True)
class AreaLayout:
    """The arithmetic of `pcpu_build_alloc_info` for a machine; all sizes are bytes.

    CPUs are numbered node by node: `cpus_per_node=(16, 16)` puts CPU 0 to 15 on node 0. A chunk is `nr_units` units
    of `unit_size`; the first one starts with the static, the reserved and the dynamic area, in `boot_pages` pages.
    Raises ValueError for a machine that cannot be.
    """

    cpus_per_node: Sequence[int]
    static_size: int
    reserved_size: int = PERCPU_MODULE_RESERVE
    dynamic_size: int = PERCPU_DYNAMIC_RESERVE
    atom_size: int = ATOM_SIZE

    def __post_init__(self) -> None:
        object.__setattr__(self, "cpus_per_node", tuple(self.cpus_per_node))
        if not self.cpus_per_node or min(self.cpus_per_node) < 1:
            raise ValueError(f"cpus_per_node {self.cpus_per_node}: every node needs at least one possible CPU")
        for name, least in (("static_size", GRANULE), ("reserved_size", 0), ("dynamic_size", 0)):
            size = getattr(self, name)  # an empty static area would let an area start at 0, which is NULL
            if size < least or size % GRANULE:
                raise ValueError(f"{name} {size} is not a multiple of {GRANULE} from {least} up")
        if self.atom_size < PAGE_SIZE or self.atom_size % PAGE_SIZE:
            raise ValueError(f"atom_size {self.atom_size} is not a positive multiple of {PAGE_SIZE}")

    @property
    def nr_cpus(self) -> int:
        """Possible CPUs of the machine."""
        return sum(self.cpus_per_node)

    @property
    def dynamic_start(self) -> int:
        """Offset in each unit of the first chunk at which its dynamic area starts."""
        return self.static_size + self.reserved_size

    @cached_property
    def size_sum(self) -> int:
        """Bytes of the first chunk in use in each unit: static, reserved and dynamic, to the end of the last page."""
        dynamic = max(self.dynamic_size, PERCPU_DYNAMIC_EARLY_SIZE)
        return align_up(self.dynamic_start + dynamic, PAGE_SIZE)

    @property
    def boot_pages(self) -> int:
        """Pages of each unit that are populated at boot and stay so."""
        return self.size_sum // PAGE_SIZE

    @cached_property
    def units_per_alloc(self) -> int:
        """Units cut from one allocation of `alloc_size`: `upa` in the kernel.

        Up to a third as many units as possible CPUs may be wasted; among the cuts that waste no more, the biggest
        unit that does not take more allocations than the cut before it.
        """
        best, fewest = 1, self.nr_cpus
        for upa in range(self.alloc_size // self._min_unit_size, 0, -1):
            allocs = self._allocs(upa)
            wasted = allocs * upa - self.nr_cpus
            if self.alloc_size % (upa * PAGE_SIZE) or wasted > self.nr_cpus // 3:
                continue
            if allocs > fewest:
                break
            best, fewest = upa, allocs
        return best

    @cached_property
    def alloc_size(self) -> int:
        """Bytes of one allocation of the embed allocator: whole atoms, at least one unit."""
        return align_up(self._min_unit_size, self.atom_size)

    @cached_property
    def unit_size(self) -> int:
        """Bytes of one CPU's unit in every chunk."""
        return self.alloc_size // self.units_per_alloc

    @property
    def unit_pages(self) -> int:
        """Pages of one unit."""
        return self.unit_size // PAGE_SIZE

    @cached_property
    def group_units(self) -> tuple[range, ...]:
        """For every node the units that have a CPU; after them come its unused ones, to a whole allocation."""
        sizes = [align_up(cpus, self.units_per_alloc) for cpus in self.cpus_per_node]
        starts = accumulate(sizes[:-1], initial=0)
        return tuple(range(start, start + cpus) for start, cpus in zip(starts, self.cpus_per_node, strict=True))

    @cached_property
    def nr_allocs(self) -> int:
        """Allocations of `alloc_size` that make up a chunk."""
        return self._allocs(self.units_per_alloc)

    @property
    def nr_units(self) -> int:
        """Units of a chunk, the unused ones included: what `Percpu:` counts for every populated page."""
        return self.nr_allocs * self.units_per_alloc

    @cached_property
    def chunk_size(self) -> int:
        """Bytes of address space of one chunk."""
        return self.nr_units * self.unit_size

    @cached_property
    def units(self) -> tuple[int, ...]:
        """The unit of every possible CPU."""
        return tuple(unit for group in self.group_units for unit in group)

    def unit_offset(self, cpu: int) -> int:
        """Bytes to add to a percpu pointer to get to `cpu`'s copy (`pcpu_unit_offsets`)."""
        return self.units[cpu] * self.unit_size

    def node_of(self, cpu: int) -> int:
        """The NUMA node of a possible CPU."""
        return next(node for node, group in enumerate(self.group_units) if self.units[cpu] in group)

    @cached_property
    def _min_unit_size(self) -> int:
        return max(self.size_sum, PCPU_MIN_UNIT_SIZE)

    def _allocs(self, upa: int) -> int:
        return sum(-(-cpus // upa) for cpus in self.cpus_per_node)
