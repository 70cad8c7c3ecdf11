"""Where the fields of the kernel's structures lie, in words, and what stands in the kernel's memory from the start.

Only fields that programs touch have an offset. How many bytes a structure really takes is the kernel profile's
business (`kernel.profile`): the rest of each object is there, and empty.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from percpu_emu.lang import setting
from percpu_emu.lang.context import MAX_CPUS
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE

# --- counters (include/linux/mmzone.h, memcontrol.h, vm_event_item.h; v5.0)


class Item(IntEnum):
    """What a memory cgroup counts: the node items (also per lruvec), then its own."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:  # noqa: ARG004
        return count

    NR_INACTIVE_ANON = auto()
    NR_ACTIVE_ANON = auto()
    NR_INACTIVE_FILE = auto()
    NR_ACTIVE_FILE = auto()
    NR_UNEVICTABLE = auto()
    NR_SLAB_RECLAIMABLE = auto()
    NR_SLAB_UNRECLAIMABLE = auto()
    NR_ISOLATED_ANON = auto()
    NR_ISOLATED_FILE = auto()
    WORKINGSET_NODES = auto()
    WORKINGSET_REFAULT = auto()
    WORKINGSET_ACTIVATE = auto()
    WORKINGSET_RESTORE = auto()
    WORKINGSET_NODERECLAIM = auto()
    NR_ANON_MAPPED = auto()
    NR_FILE_MAPPED = auto()
    NR_FILE_PAGES = auto()
    NR_FILE_DIRTY = auto()
    NR_WRITEBACK = auto()
    NR_WRITEBACK_TEMP = auto()
    NR_SHMEM = auto()
    NR_SHMEM_THPS = auto()
    NR_SHMEM_PMDMAPPED = auto()
    NR_ANON_THPS = auto()
    NR_UNSTABLE_NFS = auto()
    NR_VMSCAN_WRITE = auto()
    NR_VMSCAN_IMMEDIATE = auto()
    NR_DIRTIED = auto()
    NR_WRITTEN = auto()
    NR_KERNEL_MISC_RECLAIMABLE = auto()
    MEMCG_CACHE = auto()
    MEMCG_RSS = auto()
    MEMCG_RSS_HUGE = auto()
    MEMCG_SWAP = auto()
    MEMCG_SOCK = auto()
    MEMCG_KERNEL_STACK_KB = auto()


class VmEvent(IntEnum):
    """Events that the bundled programs count; there are NR_VM_EVENT_ITEMS of them in all."""

    PGPGIN = 0
    PGPGOUT = 1
    PGFAULT = 20
    PGMAJFAULT = 21


NR_VM_NODE_STAT_ITEMS: Final = 30
MEMCG_NR_STAT: Final = 36
NR_VM_EVENT_ITEMS: Final = 79
MEMCG_CHARGE_BATCH: Final = 32

# --- struct memcg_vmstats_percpu: one on every CPU for each memory cgroup
STAT: Final = 0
EVENTS: Final = STAT + MEMCG_NR_STAT
NR_PAGE_EVENTS: Final = EVENTS + NR_VM_EVENT_ITEMS
TARGETS: Final = NR_PAGE_EVENTS + 1
NR_TARGETS: Final = 3
VMSTATS_PERCPU_WORDS: Final = TARGETS + NR_TARGETS
LRUVEC_STAT_WORDS: Final = NR_VM_NODE_STAT_ITEMS

# --- struct percpu_ref
PERCPU_COUNT_PTR: Final = 0
COUNT: Final = 1

# --- struct mem_cgroup, which begins with its cgroup_subsys_state (css)
CSS_REFCNT: Final = 0
CSS_PARENT: Final = 2
CSS_FLAGS: Final = 3
MEMCG_NEXT: Final = 4
VMSTATS_PERCPU: Final = 5
VMSTATS_PERCPU_OFFLINED: Final = 6
VMSTATS: Final = 8
VMEVENTS: Final = VMSTATS + MEMCG_NR_STAT
NODEINFO: Final = VMEVENTS + NR_VM_EVENT_ITEMS
MAX_NODES: Final = 64
MEM_CGROUP_WORDS: Final = NODEINFO + MAX_NODES

CSS_ONLINE: Final = 1
CSS_DYING: Final = 2
CSS_PERCPU_STATS_DISABLED: Final = 4  # of the 2022 patch: updates go to the parent

# --- struct mem_cgroup_per_node
PN_MEMCG: Final = 0
LRUVEC_STAT_CPU: Final = 1
LRUVEC_STAT_CPU_OFFLINED: Final = 2
LRUVEC_STAT: Final = 3
PER_NODE_WORDS: Final = LRUVEC_STAT + NR_VM_NODE_STAT_ITEMS

# --- boot data: the first pages that the kernel's memory gives out; word 0 is NULL, which no object has
BOOT_ORDER: Final = 7  # 128 pages
BOOT: Final = (1 << BOOT_ORDER) * PAGE_SIZE // WORD_SIZE  # a run of pages lies at a multiple of its own size
MASK_WORDS: Final = MAX_CPUS // 64
CPU_POSSIBLE_MASK: Final = BOOT + 8
CPU_ONLINE_MASK: Final = CPU_POSSIBLE_MASK + MASK_WORDS
MEMCG_LIST: Final = CPU_ONLINE_MASK + MASK_WORDS  # first memory cgroup, linked by MEMCG_NEXT
RCU_COOKIES: Final = MEMCG_LIST + 1  # how many cookies of polled grace periods were taken ...
RCU_COOKIES_OVER: Final = RCU_COOKIES + 1  # ... and the last one whose grace period is over
CPUMASK_OF: Final = BOOT + 64  # a mask of one CPU, for each CPU
CPU_HOTPLUG_LOCK: Final = BOOT + 4544
STATIC: Final = setting.STATIC  # BOOT + 4608
STATIC_WORDS: Final = setting.STATIC_WORDS
CGROUP_TABLE: Final = BOOT + 8192  # size, then pointers: the memory cgroups that workers update
CGROUP_TABLE_ENTRIES: Final = 57343

# --- the kernel's static per-CPU data: per-CPU pointers below those that scenarios are given
CPU_HOTPLUG_READERS: Final = 1
CPUHP_STATE: Final = 2
WORD_NAMES: Final = {
    CPU_POSSIBLE_MASK: "cpu_possible_mask",
    CPU_ONLINE_MASK: "cpu_online_mask",
    MEMCG_LIST: "the list of memory cgroups",
    RCU_COOKIES: "the number of cookies",
    RCU_COOKIES_OVER: "the last cookie that is over",
}
"""What words of boot data are called, for people."""


def cpumask_of(cpu: int) -> int:
    """Where the mask of that one CPU lies."""
    return CPUMASK_OF + cpu * MASK_WORDS
