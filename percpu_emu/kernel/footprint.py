"""What dying cgroups cost: the allocators of a kernel profile driven through the script of the cover letter."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from percpu_emu.kernel.arena import CountedArena
from percpu_emu.kernel.slab import SlabAllocator
from percpu_emu.percpu import CountedPages, PerCpuAllocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.kernel.profile import KernelProfile, Stage

NEVER: Final = math.inf  # grace periods as the unpatched kernel waits for them: nothing goes before the last reference
_EARLY_AREA: Final = 1024  # bytes; in which pieces the booting kernel allocates makes no difference to any figure


@dataclass(frozen=True)
class Reading:
    """`pages` populated in each unit, `Percpu:` of /proc/meminfo, and what the cgroups hold of `Slab:` (kB)."""

    pages: int
    percpu_kb: int
    slab_kb: int


@dataclass(frozen=True)
class Footprint:
    """The two readings of the script: before the first cgroup and after the last."""

    before: Reading
    after: Reading


def footprint(profile: KernelProfile, cpus_per_node: Sequence[int], cgroups: int, lag: float = NEVER) -> Footprint:
    """Make `cgroups` cgroups one by one, each charged once and then removed, all of them kept dying by some reference.

    The areas that the profile marks `release-percpu` are freed when a grace period has passed: as soon as more than
    `lag` removed cgroups wait for theirs. Nothing is allocated on this machine; only the accounting is done.
    """
    kernel = _Kernel(profile, cpus_per_node)
    kernel.make("mkdir")  # the parent, `percpu_test`: nothing in it is ever charged
    before = kernel.reading()
    waiting: deque[list[int]] = deque()
    for _ in range(cgroups):
        waiting.append([*kernel.make("mkdir"), *kernel.make("charge")])
        if len(waiting) > lag:
            kernel.release(waiting.popleft())
    return Footprint(before, kernel.reading())


class _Kernel:
    """The two allocators as they are when the kernel has booted."""

    def __init__(self, profile: KernelProfile, cpus_per_node: Sequence[int]) -> None:
        layout = profile.layout(cpus_per_node)
        self._profile = profile
        self._nr_nodes = len(cpus_per_node)
        self._percpu = PerCpuAllocator(layout, CountedPages(layout))
        self._slab = SlabAllocator(CountedArena(), layout.nr_cpus)
        for start in range(0, profile.percpu.early, _EARLY_AREA):
            self._percpu.alloc(min(_EARLY_AREA, profile.percpu.early - start))

    def make(self, stage: Stage) -> list[int]:
        """What one cgroup allocates in `stage`; returns the percpu pointers that a release frees."""
        releasable = []
        for line in self._profile.percpu_area:
            if line.stage == stage:
                areas = [self._percpu.alloc(line.size, line.align) for _ in range(line.times(self._nr_nodes))]
                releasable += areas if line.until == "release-percpu" else []
        for item in self._profile.slab_object:
            if item.stage == stage:
                for _ in range(item.times(self._nr_nodes)):
                    self._slab.alloc(item.size, item.align, item.cache)
        self._balance()
        return releasable

    def release(self, areas: list[int]) -> None:
        """The RCU callback of the patched kernel, without the flush."""
        for p in areas:
            self._percpu.free(p)
        self._balance()

    def reading(self) -> Reading:
        """What the counters say now."""
        return Reading(self._percpu.nr_populated, self._percpu.percpu_kb, self._slab.slab_kb)

    def _balance(self) -> None:
        if self._percpu.balance_pending:
            self._percpu.balance()
