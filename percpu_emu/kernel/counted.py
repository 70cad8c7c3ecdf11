"""A kernel on paper: the per-CPU memory that cgroups of a profile take and give back, counted and not allocated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from percpu_emu.percpu import CountedPages, PerCpuAllocator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_emu.kernel.profile import KernelProfile, PercpuArea, Stage
    from percpu_emu.percpu import AreaLayout

_EARLY_AREA: Final = 1024  # bytes; in which pieces the booting kernel allocates makes no difference to any figure


class Held(NamedTuple):
    """An area that a cgroup holds: whose profile line it is, its percpu pointer, and the allocator that it is from."""

    line: PercpuArea
    pointer: int
    allocator: PerCpuAllocator


class CountedKernel:
    """The per-CPU allocator of a profile as it is when the kernel has booted; two where accounted areas are apart."""

    def __init__(self, profile: KernelProfile, layout: AreaLayout) -> None:
        self._lines = profile.percpu_area
        self._nr_nodes = len(layout.cpus_per_node)
        self.percpu = _allocator(profile, layout)
        for start in range(0, profile.percpu.early, _EARLY_AREA):
            self.percpu.alloc(min(_EARLY_AREA, profile.percpu.early - start))
        apart = profile.percpu.accounted_apart
        self._accounted = _allocator(profile, layout, boots=False) if apart else self.percpu

    @property
    def allocators(self) -> tuple[PerCpuAllocator, ...]:
        """All of them."""
        return tuple(dict.fromkeys((self.percpu, self._accounted)))

    @property
    def pages(self) -> int:
        """Populated pages of one unit."""
        return sum(allocator.nr_populated for allocator in self.allocators)

    def make(self, *stages: Stage, below_root: bool = False) -> list[Held]:
        """What a cgroup allocates in these stages. One right below the root is charged to nobody."""
        accounted = self.percpu if below_root else self._accounted
        held = []
        for stage in stages:
            for line in self._lines:
                if line.stage == stage:
                    allocator = accounted if line.accounted else self.percpu
                    times = line.times(self._nr_nodes)
                    held += [Held(line, allocator.alloc(line.size, line.align), allocator) for _ in range(times)]
            self._balance()
        return held

    def free(self, areas: Iterable[Held]) -> None:
        """Give areas of one cgroup back, all at once."""
        for area in areas:
            area.allocator.free(area.pointer)
        self._balance()

    def _balance(self) -> None:
        for allocator in self.allocators:
            if allocator.balance_pending:
                allocator.balance()


def _allocator(profile: KernelProfile, layout: AreaLayout, *, boots: bool = True) -> PerCpuAllocator:
    return PerCpuAllocator(layout, CountedPages(layout), depopulates=profile.percpu.depopulates, boots=boots)
