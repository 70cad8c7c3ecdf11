"""memory.stat and memory.numa_stat: the machine's counters, as the kernel of the patchset's time read them.

It read the atomic twins only, each cgroup's clamped at 0 and then added up over the subtree: up to
MEMCG_CHARGE_BATCH pages for each CPU are still in the slots and are not seen (`kernel.memcg.memcg_page_state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from percpu_emu.kernel.layout import (
    LRUVEC_STAT,
    MEMCG_NR_STAT,
    NODEINFO,
    NR_VM_EVENT_ITEMS,
    NR_VM_NODE_STAT_ITEMS,
    VMEVENTS,
    VMSTATS,
    Item,
    VmEvent,
)
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.memory import MemoryState
    from percpu_emu.machine import MachineMemory

_Words = npt.NDArray[np.int64]

_BYTES: Final = {
    "anon": (Item.MEMCG_RSS,),
    "file": (Item.MEMCG_CACHE,),
    "kernel_stack": (),
    "slab": (Item.NR_SLAB_RECLAIMABLE, Item.NR_SLAB_UNRECLAIMABLE),
    "sock": (Item.MEMCG_SOCK,),
    "shmem": (Item.NR_SHMEM,),
    "file_mapped": (Item.NR_FILE_MAPPED,),
    "file_dirty": (Item.NR_FILE_DIRTY,),
    "file_writeback": (Item.NR_WRITEBACK,),
    "anon_thp": (Item.MEMCG_RSS_HUGE,),
    "inactive_anon": (Item.NR_INACTIVE_ANON,),
    "active_anon": (Item.NR_ACTIVE_ANON,),
    "inactive_file": (Item.NR_INACTIVE_FILE,),
    "active_file": (Item.NR_ACTIVE_FILE,),
    "unevictable": (Item.NR_UNEVICTABLE,),
    "slab_reclaimable": (Item.NR_SLAB_RECLAIMABLE,),
    "slab_unreclaimable": (Item.NR_SLAB_UNRECLAIMABLE,),
}
_EVENTS: Final = {"pgfault": VmEvent.PGFAULT, "pgmajfault": VmEvent.PGMAJFAULT}
_COUNTS: Final = {
    "workingset_refault": Item.WORKINGSET_REFAULT,
    "workingset_activate": Item.WORKINGSET_ACTIVATE,
    "workingset_nodereclaim": Item.WORKINGSET_NODERECLAIM,
}
_NEVER: Final = (
    *("pgrefill", "pgscan", "pgsteal", "pgactivate", "pgdeactivate", "pglazyfree", "pglazyfreed"),
    *("thp_fault_alloc", "thp_collapse_alloc"),
)
"""Events that no program of the machine counts."""
_OF_A_NODE: Final = {
    "anon": Item.NR_ANON_MAPPED,
    "file": Item.NR_FILE_PAGES,
    "shmem": Item.NR_SHMEM,
    "inactive_anon": Item.NR_INACTIVE_ANON,
    "active_anon": Item.NR_ACTIVE_ANON,
    "inactive_file": Item.NR_INACTIVE_FILE,
    "active_file": Item.NR_ACTIVE_FILE,
    "unevictable": Item.NR_UNEVICTABLE,
    "slab_reclaimable": Item.NR_SLAB_RECLAIMABLE,
    "slab_unreclaimable": Item.NR_SLAB_UNRECLAIMABLE,
}


def _summed(words: _Words, starts: _Words, count: int) -> list[int]:
    """The sums of `count` counters over all cgroups, each clamped at 0 first."""
    found: list[int] = np.maximum(words[starts[:, None] + np.arange(count)], 0).sum(axis=0).tolist()
    return found


def _memcgs(state: MemoryState) -> _Words:
    return np.array([below.cgroup.memcg for below in state.below()], dtype=np.int64)


def memory_stat(memory: MachineMemory, state: MemoryState) -> dict[str, int]:
    """memory.stat: bytes, then numbers of events."""
    memcgs = _memcgs(state)
    stats = _summed(memory.words, memcgs + VMSTATS, MEMCG_NR_STAT)
    events = _summed(memory.words, memcgs + VMEVENTS, NR_VM_EVENT_ITEMS)
    found = {name: sum(stats[item] for item in items) * PAGE_SIZE for name, items in _BYTES.items()}
    found["kernel_stack"] = stats[Item.MEMCG_KERNEL_STACK_KB] * 1024
    found |= {name: events[event] for name, event in _EVENTS.items()}
    found |= {name: stats[item] for name, item in _COUNTS.items()}
    return found | dict.fromkeys(_NEVER, 0)


def memory_numa_stat(memory: MachineMemory, state: MemoryState) -> str:
    """memory.numa_stat: bytes on each node."""
    memcgs, nodes = _memcgs(state), range(memory.topology.nodes)
    by_node = [
        _summed(memory.words, memory.words[memcgs + NODEINFO + nid] + LRUVEC_STAT, NR_VM_NODE_STAT_ITEMS)
        for nid in nodes
    ]
    lines = (
        f"{name} {' '.join(f'N{nid}={by_node[nid][item] * PAGE_SIZE}' for nid in nodes)}\n"
        for name, item in _OF_A_NODE.items()
    )
    return "".join(lines)
