"""Which lines of a kernel profile the programs of `kernel.css` allocate, and whether their counters fit in these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from percpu_emu.kernel.layout import (
    LRUVEC_STAT_WORDS,
    MEMCG_CHARGE_BATCH,
    MEMCG_NR_STAT,
    NODEINFO,
    NR_VM_EVENT_ITEMS,
    NR_VM_NODE_STAT_ITEMS,
    PER_NODE_WORDS,
    VMSTATS_PERCPU_WORDS,
)
from percpu_emu.kernel.profile import Counters
from percpu_emu.shm import WORD_SIZE

if TYPE_CHECKING:
    from percpu_emu.kernel.profile import KernelProfile

_PARTS: Final = (
    (("mem_cgroup",), NODEINFO),
    (("memcg_vmstats_percpu",), VMSTATS_PERCPU_WORDS),
    (("mem_cgroup_per_node",), PER_NODE_WORDS),
    (("lruvec_stat", "lruvec_stats_percpu"), LRUVEC_STAT_WORDS),
)
"""In the order of `css.mem_cgroup_alloc`: the line, whose name changed once, and how many words the programs use."""
_COUNTERS: Final = Counters(
    MEMCG_CHARGE_BATCH=MEMCG_CHARGE_BATCH,
    MEMCG_NR_STAT=MEMCG_NR_STAT,
    NR_VM_EVENT_ITEMS=NR_VM_EVENT_ITEMS,
    NR_VM_NODE_STAT_ITEMS=NR_VM_NODE_STAT_ITEMS,
)
MADE_BY_PROGRAMS: Final = frozenset(name for names, _ in _PARTS for name in names)


def program_sizes(profile: KernelProfile) -> list[int]:
    """The sizes in bytes that `css.mem_cgroup_alloc` takes, of a profile that `cannot_show` has no word against."""
    return [size for names, _ in _PARTS if (size := _size(profile, names)) is not None]


def has_own_counters(profile: KernelProfile) -> bool:
    """Whether the counters that the programs update are those of this kernel: of Linux 5.0."""
    return profile.counters == _COUNTERS


def cannot_show(profile: KernelProfile, nr_nodes: int) -> str | None:
    """Why the programs, whose counters are those of Linux 5.0, cannot make a cgroup of a kernel; None if they can."""
    for names, words in _PARTS:
        size, needed = _size(profile, names), words * WORD_SIZE
        if names == ("mem_cgroup",):
            needed += nr_nodes * WORD_SIZE
        if size is None:
            return f"the profile {profile.name} has no line {' or '.join(names)}, whose size a cgroup needs"
        if size < needed:
            return (
                f"the profile {profile.name} has {size} bytes of {names[0]}, where the counters that the programs "
                f"update, those of Linux 5.0, take {needed}"
            )
    return None


def _size(profile: KernelProfile, names: tuple[str, ...]) -> int | None:
    lines = (*profile.slab_object, *profile.percpu_area)
    return next((line.size for line in lines if line.name in names), None)
