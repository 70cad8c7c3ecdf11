"""What dying cgroups cost: the allocators of a kernel profile driven through the script of the cover letter."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from percpu_emu.kernel.arena import CountedArena
from percpu_emu.kernel.counted import CountedKernel, Held
from percpu_emu.kernel.slab import SlabAllocator, SlabCache, slab_pages
from percpu_emu.percpu.layout import KB
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.kernel.profile import KernelProfile
    from percpu_emu.percpu import AreaLayout

NEVER: Final = math.inf  # grace periods as the unpatched kernel waits for them: nothing goes before the last reference
RELEASED: Final = "release-percpu"
FEW_AREAS: Final = 20_000
"""Areas that Python allocates in half a second: up to here, compiled code is not worth its start."""


@dataclass(frozen=True)
class Reading:
    """`pages` populated in each unit, `Percpu:` of /proc/meminfo, and what the cgroups hold of `Slab:` (kB)."""

    pages: int
    percpu_kb: int
    slab_kb: int


@dataclass(frozen=True)
class Footprint:
    """Readings before the first cgroup, after the last, and when every grace period that is waited for has ended."""

    before: Reading
    after: Reading
    settled: Reading


def footprint(profile: KernelProfile, cpus_per_node: Sequence[int], cgroups: int, lag: float = NEVER) -> Footprint:
    """Make `cgroups` cgroups one by one, each charged once and then removed, all of them kept dying by some reference.

    The areas that the profile marks `release-percpu` are freed when a grace period has passed: as soon as more than
    `lag` removed cgroups wait for theirs. Nothing is allocated on this machine; only the accounting is done.
    """
    layout = profile.layout(cpus_per_node)
    before, after, settled = _pages(profile, layout.unit_size, len(layout.cpus_per_node), cgroups, lag)
    slab = [_slab_kb(profile, layout, made) for made in (0, cgroups)]
    return Footprint(
        _reading(layout, before, slab[0]), _reading(layout, after, slab[1]), _reading(layout, settled, slab[1])
    )


def _reading(layout: AreaLayout, pages: int, slab_kb: int) -> Reading:
    return Reading(pages, pages * layout.nr_units * PAGE_SIZE // KB, slab_kb)


class _Pages(NamedTuple):
    """Populated pages of one unit at the three readings."""

    before: int
    after: int
    settled: int


@lru_cache(maxsize=256)
def _pages(profile: KernelProfile, unit_size: int, nr_nodes: int, cgroups: int, lag: float) -> _Pages:
    """Machines whose units have one size and that have as many nodes need the same pages in each unit.

    The smallest of them stands for all: a node has one CPU, and the atom of the embed allocator is one unit. Many areas
    are counted by compiled code; the first time on a machine it compiles, for some 25 s.
    """
    layout = profile.layout((1,) * nr_nodes, atom_size=unit_size)
    if cgroups * sum(line.times(nr_nodes) for line in profile.percpu_area) > FEW_AREAS:
        from percpu_emu.kernel.counting import count_pages

        return _Pages(*count_pages(profile, layout, cgroups, None if lag == NEVER else int(lag)))
    return counted_by_python(profile, layout, cgroups, lag)


def counted_by_python(profile: KernelProfile, layout: AreaLayout, cgroups: int, lag: float) -> _Pages:
    """The same without compiled code, which is held against it."""
    kernel = CountedKernel(profile, layout)
    kernel.make("mkdir", below_root=True)  # the parent, `percpu_test`: nothing in it is ever charged
    before = kernel.pages
    waiting: deque[list[Held]] = deque()
    for _ in range(cgroups):
        held = kernel.make("mkdir", "charge")
        if lag < NEVER:
            waiting.append([area for area in held if area.line.until == RELEASED])
        if len(waiting) > lag:
            kernel.free(waiting.popleft())
    after = kernel.pages
    for areas in waiting:
        kernel.free(areas)
    return _Pages(before, after, kernel.pages)


def _slab_kb(profile: KernelProfile, layout: AreaLayout, cgroups: int) -> int:
    """What the parent and the cgroups below it hold; the parent is made and never charged."""
    slab, objects = SlabAllocator(CountedArena(), layout.nr_cpus), Counter[SlabCache]()
    for line in profile.slab_object:
        owners = cgroups + (line.stage == "mkdir")
        objects[slab.cache_of(line.size, line.align, line.cache)] += line.times(len(layout.cpus_per_node)) * owners
    return slab_pages(objects.items()) * PAGE_SIZE // KB
