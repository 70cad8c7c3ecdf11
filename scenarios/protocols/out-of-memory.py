"""Creating a cgroup where an allocation fails: what was allocated before is forgotten, or used though it is not there.

mm/memcontrol.c, mem_cgroup_alloc and its error path: H5 of our findings in v3 of 2019, W3 of the patchset of 2022, and
the NULL pointer in the flush of per-CPU statistics that syzbot found before 5.4.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    free_percpu,
    kfree,
    kzalloc,
    per_cpu,
    read_once,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, PerCpu, Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

CPUS = 2


class Slots(Struct):
    """Statistics, on every CPU."""

    slot: Word


class NodeInfo(Struct):
    """Statistics of a node."""

    total: AtomicLong


class Memcg(Struct):
    """A cgroup."""

    stats: PerCpu[Slots]
    nodeinfo: Ptr[NodeInfo]


class Shared(Struct):
    """The cgroup that is made, if it is."""

    memcg: Ptr[Memcg]


shared = Shared()


def allocate() -> Program[Memcg]:
    """Memory for a cgroup and all that it needs; what cannot be had is NULL."""
    made = yield kzalloc(sizeof(Memcg))
    if made:
        slots = yield alloc_percpu(sizeof(Slots), 8)
        yield write_once(made.stats, slots)
        if slots:
            node = yield kzalloc(sizeof(NodeInfo))
            yield write_once(made.nodeinfo, node)
    return made


def is_complete(memcg: Memcg) -> Program[int]:
    """Whether all was to be had."""
    complete = 0
    if memcg:
        complete = yield read_once(memcg.nodeinfo)
    return complete


def free_objects(memcg: Memcg) -> Program[None]:
    """The node's statistics, and the cgroup."""
    node = yield read_once(memcg.nodeinfo)
    yield kfree(node)
    yield kfree(memcg)


def free_all(memcg: Memcg) -> Program[None]:
    """The slots as well."""
    slots = yield read_once(memcg.stats)
    yield free_percpu(slots)
    yield from free_objects(memcg)


def flush(memcg: Memcg) -> Program[None]:
    """Add the slots to the node's statistics."""
    node: NodeInfo = yield read_once(memcg.nodeinfo)
    slots: Slots = yield read_once(memcg.stats)
    for cpu in range(CPUS):
        x = yield read_once(per_cpu(slots.slot, cpu))
        yield atomic_long_add(node.total, x)


def create_and_forget() -> Program[None]:
    """Make a cgroup and remove it; where it cannot be made, free what there is."""
    memcg = yield from allocate()
    complete = yield from is_complete(memcg)
    if complete:
        yield from free_all(memcg)
    elif memcg:
        yield from free_objects(memcg)  # wrong: the slots may have been allocated by then


@scenario(cpus=CPUS, left=0, allocations_fail=1, expect="leak", missing="freeing the slots where creation fails")
def out_of_memory_slots_leak(m: Contexts) -> None:
    """The creation of a cgroup fails at its last allocation, and the slots stay allocated.

    Slots are freed when a cgroup goes offline. One whose creation fails never does, and its error path frees the
    objects only (H5, W3). With all allocations granted there is nothing to see.

    The fixed version frees the slots on the error path.
    """
    m.task(create_and_forget)


def create() -> Program[None]:
    """The same with the slots."""
    memcg = yield from allocate()
    if memcg:
        yield from free_all(memcg)


@scenario(cpus=CPUS, left=0, allocations_fail=1)
def out_of_memory_slots_leak_fixed(m: Contexts) -> None:
    """The creation of a cgroup fails at any allocation, and all that it had is freed.

    To free NULL is allowed.
    """
    m.task(create)


def create_and_flush() -> Program[None]:
    """Make a cgroup and remove it; before it goes, its slots are flushed."""
    memcg = yield from allocate()
    if memcg:
        yield from flush(memcg)  # wrong: the last allocation may have failed
        yield from free_all(memcg)


@scenario(cpus=CPUS, left=0, allocations_fail=1, expect="wild-access", missing="a flush of complete cgroups only")
def out_of_memory_flush(m: Contexts) -> None:
    """The creation of a cgroup fails, and freeing what there is flushes its slots into a node that is not there.

    The flush was added to the function that frees a cgroup, which the error path of its creation calls as well; it went
    through a NULL pointer there (before 5.4, found by syzbot).

    The fixed version flushes in the path of removal.
    """
    m.task(create_and_flush)


def create_and_flush_complete() -> Program[None]:
    """The same for a cgroup that is complete."""
    memcg = yield from allocate()
    if memcg:
        complete = yield from is_complete(memcg)
        if complete:
            yield from flush(memcg)
        yield from free_all(memcg)


@scenario(cpus=CPUS, left=0, allocations_fail=1)
def out_of_memory_flush_fixed(m: Contexts) -> None:
    """Only a cgroup that was made completely is flushed before it is freed.

    A cgroup whose creation fails has counted nothing.
    """
    m.task(create_and_flush_complete)
