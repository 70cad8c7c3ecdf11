"""The release of a dying cgroup's slots, by the kernel's own programs, small enough to be tried in every order."""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.css import css_init, mem_cgroup_alloc, online_css
from percpu_emu.kernel.layout import (
    COUNT,
    CPU_POSSIBLE_MASK,
    LRUVEC_STAT,
    LRUVEC_STAT_CPU,
    LRUVEC_STAT_CPU_OFFLINED,
    LRUVEC_STAT_WORDS,
    MEM_CGROUP_WORDS,
    MEMCG_LIST,
    NODEINFO,
    PER_NODE_WORDS,
    STAT,
    VMSTATS,
    VMSTATS_PERCPU,
    VMSTATS_PERCPU_OFFLINED,
    VMSTATS_PERCPU_WORDS,
)
from percpu_emu.kernel.memcg import mod_memcg_state
from percpu_emu.kernel.release import css_offline, memcg_hotplug_cpu_dead
from percpu_emu.lang.ops import Program, rcu_dereference, rcu_read_lock, rcu_read_unlock, read_once
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS
from percpu_emu.scenario.decorator import Contexts, Keys, scenario
from percpu_emu.shm import WORD_SIZE

MEMCG = FIRST_OBJECT
PN = MEMCG + OBJECT_WORDS  # its part of node 0
ITEM = 0
NAMES = {
    OBJECT_WORDS + STAT + ITEM: "stat slot",
    2 * OBJECT_WORDS + ITEM: "lruvec slot",
    3 * OBJECT_WORDS: "ref slot",
    MEMCG_LIST: "list of memory cgroups",
    MEMCG + COUNT: "css reference count",
    MEMCG + VMSTATS_PERCPU: "vmstats_percpu",
    MEMCG + VMSTATS_PERCPU_OFFLINED: "vmstats_percpu_offlined",
    MEMCG + VMSTATS + ITEM: "vmstats",
    MEMCG + NODEINFO: "nodeinfo",
    PN + LRUVEC_STAT_CPU: "lruvec_stat_cpu",
    PN + LRUVEC_STAT_CPU_OFFLINED: "lruvec_stat_cpu_offlined",
    PN + LRUVEC_STAT + ITEM: "lruvec_stat",
}


def setup() -> Program[None]:
    """One memory cgroup, on one node."""
    memcg = yield from mem_cgroup_alloc(
        MEM_CGROUP_WORDS * WORD_SIZE,
        VMSTATS_PERCPU_WORDS * WORD_SIZE,
        PER_NODE_WORDS * WORD_SIZE,
        LRUVEC_STAT_WORDS * WORD_SIZE,
    )
    yield from css_init(memcg)
    yield from online_css(memcg, 0)


def update() -> Program[None]:
    """Count a page."""
    yield from mod_memcg_state(MEMCG, ITEM, 1)


def rmdir() -> Program[None]:
    """The cgroup goes offline; nothing drops the last reference."""
    yield from css_offline(MEMCG)


def cpu_dead(cpu: int) -> Program[None]:
    """A CPU has gone down."""
    yield from memcg_hotplug_cpu_dead(cpu)


def total(counter: int) -> Program[int]:
    """The value of a counter of the cgroup: its atomic twin, and its slots while there are some."""
    yield rcu_read_lock()
    x = yield read_once(counter)
    vmstats_percpu = yield rcu_dereference(MEMCG + VMSTATS_PERCPU)
    if vmstats_percpu:
        x += yield from percpu_sum(vmstats_percpu, STAT + counter - MEMCG - VMSTATS, CPU_POSSIBLE_MASK)
    yield rcu_read_unlock()
    return x


SMALL: Keys = {
    "setup": setup,
    "total": total,
    "left": 3,  # the cgroup, its part of node 0, the slots of its reference count
    "constants": {"MEMCG_NR_STAT": 1, "NR_VM_EVENT_ITEMS": 0, "NR_VM_NODE_STAT_ITEMS": 1, "MEMCG_CHARGE_BATCH": 1},
    "sometimes": ["atomic path"],
}


@scenario(cpus=3, **SMALL)
def release_3x3(m: Contexts) -> None:
    """The release of a dying cgroup's slots on three CPUs, in every order.

    Three CPUs update a counter of a cgroup three times each, with a batch of 1, and meanwhile the cgroup goes
    offline: it swaps in the atomics, waits for a grace period, flushes and frees its slots. The programs are
    the kernel's own of percpu_emu.kernel, with one counter of each kind. In no order may a count be lost or
    doubled, freed memory be touched, or the slots be kept.
    """
    m.task(update, cpu="all", turns=3)
    m.task(rmdir)


@scenario(cpus=4, **SMALL)
def release_4x4(m: Contexts) -> None:
    """The release of a dying cgroup's slots on four CPUs, in every order.

    As release-3x3, with four CPUs and four updates each. Most orders differ only in steps that do not touch the
    same word: how fast this is tried out shows what leaving those out is worth.
    """
    m.task(update, cpu="all", turns=4)
    m.task(rmdir)


@scenario(cpus=3, **SMALL)
def release_3x3_hotplug(m: Contexts) -> None:
    """The release of a dying cgroup's slots on three CPUs, of which one goes down, in every order.

    As release-3x3, and at some moment CPU 2 goes down: before the cgroup is removed, between the swap and the
    flush, or after the slots are freed. What it has counted is folded by the hotplug callback or by the
    release, and never by both.
    """
    m.task(update, cpu="all", turns=3)
    m.task(rmdir)
    m.offline(cpu_dead, "cpu", cpu=2)
