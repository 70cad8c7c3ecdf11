"""The patchset of 2022 for the same aim, as posted: four mistakes, W1 to W4, and what corrects each.

"mm/memcg: Free percpu stats memory of dying memcg's", April 2022. A cgroup that goes offline is marked DISABLED:
updates go to the slots of its parent from then on. After a grace period its slots are flushed, into its own total and
its parent's, and freed. The mistakes are concluded from the patches as posted.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    counted,
    free_percpu,
    kfree,
    kzalloc,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, PerCpu, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2
DISABLED = 1
FREED = 2


class Slots(Struct):
    """What every CPU has of a counter."""

    slot: Word


class Memcg(Struct):
    """A cgroup: the state of its slots, the slots, and the total of what was flushed."""

    state: Word
    stats: PerCpu[Slots]
    total: AtomicLong


child = Memcg()
parent = Memcg()


def setup() -> Program[None]:
    """A cgroup and its parent have slots on every CPU."""
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(child.stats, slots)
    slots_of_parent = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(parent.stats, slots_of_parent)


def slots_to_update() -> Program[Slots]:
    """The slots of the cgroup; those of its parent, once they are disabled."""
    if (yield read_once(child.state)):
        return (yield read_once(parent.stats))
    return (yield read_once(child.stats))


def add(change: int) -> Program[None]:
    """Add to the slot of this CPU."""
    flags = yield local_irq_save()
    slots: Slots = yield from slots_to_update()
    yield this_cpu_add(slots.slot, change)
    yield local_irq_restore(flags)


def sum_of(slots: Slots) -> Program[int]:
    """What the slots of all CPUs hold."""
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    return x


def release() -> Program[None]:
    """The cgroup goes offline."""
    yield write_once(child.state, DISABLED)
    yield synchronize_rcu()
    slots = yield read_once(child.stats)
    x = yield from sum_of(slots)
    yield atomic_long_add(child.total, x)
    yield atomic_long_add(parent.total, x)
    yield write_once(child.state, FREED)
    yield free_percpu(slots)


def total_with_children(address: int) -> Program[int]:
    """The hierarchical value of the parent's counter."""
    x = yield read_once(address)
    x += yield from sum_of((yield read_once(parent.stats)))
    if (yield read_once(child.state)) != FREED:
        x += yield from sum_of((yield read_once(child.stats)))
    return x


def total_of_child(address: int) -> Program[int]:
    """The value of the cgroup's own counter."""
    x = yield read_once(address)
    if (yield read_once(child.state)) != FREED:
        x += yield from sum_of((yield read_once(child.stats)))
    return x


# --- W1


def early_uncharge() -> Program[None]:
    """Uncharge a page."""
    with counted(parent.total, -1):
        slots: Slots = yield from slots_to_update()  # wrong: the section begins below
        flags = yield local_irq_save()
        yield this_cpu_add(slots.slot, -1)
        yield local_irq_restore(flags)


@scenario(
    cpus=2,
    setup=setup,
    total=total_with_children,
    left=1,
    expect="use-after-free",
    missing="choosing the cgroup inside the section in which its slot is written",
)
def memcg_2022_w1_chosen_early(m: Contexts) -> None:
    """The patchset of 2022, W1: an uncharge chooses the slots before its section begins.

    uncharge_batch walks up to the first cgroup whose slots are not disabled, and turns interrupts off after that. No
    grace period waits for a task that is preempted in between: the slots that it has chosen are freed (W1). A kernel
    without preemption is safe by accident.

    The fixed version chooses with interrupts off.
    """
    m.task(early_uncharge, cpu=0, name="uncharge")
    m.task(release)


def uncharge() -> Program[None]:
    """Uncharge a page."""
    with counted(parent.total, -1):
        yield from add(-1)


@scenario(cpus=2, setup=setup, total=total_with_children, left=1)
def memcg_2022_w1_chosen_early_fixed(m: Contexts) -> None:
    """W1 corrected: an uncharge chooses the slots with interrupts off.

    The grace period waits for it.
    """
    m.task(uncharge, cpu=0)
    m.task(release)


# --- W2


def unprotected_read() -> Program[int]:
    """The sum of the cgroup's own slots, 0 once they are disabled."""
    x = 0
    if not (yield read_once(child.state)):
        x = yield from sum_of((yield read_once(child.stats)))  # wrong: they may be freed meanwhile
    return x


@scenario(
    cpus=2,
    setup=setup,
    left=1,
    expect="use-after-free",
    missing="a read-side section around the test and the sum",
)
def memcg_2022_w2_reader_unprotected(m: Contexts) -> None:
    """The patchset of 2022, W2: a reader tests the state, and sums slots that are freed by then.

    memcg_page_state_local looks at the state and then sums the slots of all possible CPUs, in no read-side section. On
    a kernel with preemption the flush and the free may come in between (W2).

    The fixed version reads in a section.
    """
    m.task(unprotected_read, cpu=0, name="read")
    m.task(release)


def protected_read() -> Program[int]:
    """The sum of the cgroup's own slots, 0 once they are disabled."""
    x = 0
    yield rcu_read_lock()
    if not (yield read_once(child.state)):
        x = yield from sum_of((yield read_once(child.stats)))
    yield rcu_read_unlock()
    return x


@scenario(cpus=2, setup=setup, left=1)
def memcg_2022_w2_reader_unprotected_fixed(m: Contexts) -> None:
    """W2 corrected: a reader tests the state and sums the slots in one section.

    The slots are freed after a grace period, which waits for the reader.
    """
    m.task(protected_read, cpu=0, name="read")
    m.task(release)


# --- W3


def create() -> Program[Memcg]:
    """Make a cgroup with slots; a later step of its creation fails."""
    made = yield kzalloc(sizeof(Memcg))
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(made.stats, slots)
    return made


def create_in_vain() -> Program[None]:
    """Make a cgroup, and give up."""
    made = yield from create()
    yield kfree(made)  # wrong: with the pointer to its slots


@scenario(cpus=1, left=0, expect="leak", missing="freeing the slots of a cgroup that never was online")
def memcg_2022_w3_creation_fails(m: Contexts) -> None:
    """The patchset of 2022, W3: a cgroup whose creation fails leaves its slots behind.

    Slots are freed when a cgroup goes offline, and no longer when it is freed. A cgroup whose creation fails after its
    slots were allocated never goes offline (W3). v3 of 2019 makes the same mistake.

    The fixed version frees them where creation fails.
    """
    m.task(create_in_vain)


def create_and_clean_up() -> Program[None]:
    """Make a cgroup, and give up."""
    made: Memcg = yield from create()
    slots = yield read_once(made.stats)
    yield free_percpu(slots)
    yield kfree(made)


@scenario(cpus=1, left=0)
def memcg_2022_w3_creation_fails_fixed(m: Contexts) -> None:
    """W3 corrected: a cgroup whose creation fails frees its slots.

    Everything that it allocated goes.
    """
    m.task(create_and_clean_up)


# --- W4


def setup_with_pages() -> Program[None]:
    """Two pages are charged to the cgroup, on CPU 0."""
    yield from setup()
    with counted(child.total, 2):
        slots = yield read_once(child.stats)
        yield write_once(per_cpu(slots.slot, 0), 2)


def uncharge_from_parent() -> Program[None]:
    """Uncharge one of the pages."""
    with counted(child.total, -1):
        yield from add(-1)  # wrong: it may go to the parent, while the charge went to the cgroup


@scenario(
    cpus=2,
    setup=setup_with_pages,
    total=total_of_child,
    left=1,
    expect="doubled-count",
    missing="a place of the cgroup's own for updates after its slots are disabled",
)
def memcg_2022_w4_books_of_the_child(m: Contexts) -> None:
    """The patchset of 2022, W4: a page is charged to a cgroup and uncharged from its parent.

    Once a cgroup is disabled its updates go to its parent. A page that was charged before stays in the books of the
    cgroup for ever, and what the parent has for itself is 1 too low (W4). The hierarchical total of the parent is
    right: asked for that, the protocol passes.

    The fixed version updates an atomic twin of the cgroup's own instead, as v3 of 2019 does.
    """
    m.task(uncharge_from_parent, cpu=0, name="uncharge")
    m.task(release)


def add_to_own(change: int) -> Program[None]:
    """Add to the slot of this CPU; to the atomic twin, once the slots are disabled."""
    flags = yield local_irq_save()
    if (yield read_once(child.state)):
        yield atomic_long_add(child.total, change)
    else:
        slots = yield read_once(child.stats)
        yield this_cpu_add(slots.slot, change)
    yield local_irq_restore(flags)


def uncharge_own() -> Program[None]:
    """Uncharge one of the pages."""
    with counted(child.total, -1):
        yield from add_to_own(-1)


@scenario(cpus=2, setup=setup_with_pages, total=total_of_child, left=1)
def memcg_2022_w4_books_of_the_child_fixed(m: Contexts) -> None:
    """W4 corrected: a cgroup whose slots are disabled counts in an atomic twin of its own.

    Charge and uncharge are in the same books, whichever way each of them went.
    """
    m.task(uncharge_own, cpu=0, name="uncharge")
    m.task(release)
