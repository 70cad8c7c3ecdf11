"""A reference count turns atomic: its slots are added to it one by one, or summed up and added at once."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    atomic_long_add_return,
    free_percpu,
    kfree,
    kzalloc,
    per_cpu,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.setting import FIRST_OBJECT
from percpu_emu.lang.structures import AtomicLong, PerCpu, Struct, Word, sizeof
from percpu_emu.lang.words import LONG_MIN
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2
BIAS = LONG_MIN
REF = FIRST_OBJECT  # what the setup allocates


class Slots(Struct):
    """References that were taken on a CPU, less those that were dropped there."""

    slot: Word


class Ref(Struct):
    """An object that begins with its reference count; `dead` is 1 when the slots are not used any more."""

    slots: PerCpu[Slots]
    count: AtomicLong
    dead: Word


def setup() -> Program[None]:
    """An object with two references: the first one, and one that was taken on CPU 1."""
    ref = yield kzalloc(sizeof(Ref))
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(ref.slots, slots)
    yield write_once(ref.count, BIAS + 1)
    yield write_once(per_cpu(slots.slot, 1), 1)


def put(ref: Ref) -> Program[None]:
    """Drop the reference that was taken on CPU 1."""
    yield rcu_read_lock()
    dead = yield read_once(ref.dead)
    if dead:
        yield from put_atomic(ref)
    else:
        slots = yield read_once(ref.slots)
        yield this_cpu_add(slots.slot, -1)
    yield rcu_read_unlock()


def put_atomic(ref: Ref) -> Program[None]:
    """Drop a reference; the last one frees the object."""
    count = yield atomic_long_add_return(ref.count, -1)
    if count == 0:
        slots = yield read_once(ref.slots)
        yield free_percpu(slots)
        yield kfree(ref)


def kill(ref: Ref) -> Program[None]:
    """Turn the count atomic, and drop the first reference."""
    yield write_once(ref.dead, 1)
    yield synchronize_rcu()
    slots = yield read_once(ref.slots)
    yield atomic_long_add(ref.count, -BIAS)  # wrong: from here on a put may reach 0
    for cpu in range(NR_CPUS):
        x = yield read_once(per_cpu(slots.slot, cpu))
        yield atomic_long_add(ref.count, x)
    yield from put_atomic(ref)


@scenario(
    cpus=2,
    setup=setup,
    left=0,
    expect="use-after-free",
    missing="summing up all slots before the one addition that removes the bias",
    # for `run`: a put after the grace period has to come between two additions
    faults={"inject": ["kill:5=sleep:200us@50%"]},
)
def ref_sum_one_by_one(m: Contexts) -> None:
    """A reference count turns atomic slot by slot, and touches 0 while references are held.

    A percpu_ref counts in slots, of which only the sum means anything, until it is killed; then the slots are added to
    one atomic count. That count holds a bias so that no put takes it to 0 meanwhile. Here the bias is removed first and
    the slots are added one after the other: with the slots of CPU 0 added and that of CPU 1 still missing, the put of a
    reference that was taken on CPU 1 reaches 0, and the object is freed under those who hold it.

    The fixed version does as lib/percpu-refcount.c: sum first, then one atomic add of the sum less the bias.
    """
    m.task(put, REF, cpu=1)
    m.task(kill, REF)


def kill_at_once(ref: Ref) -> Program[None]:
    """Turn the count atomic, and drop the first reference."""
    yield write_once(ref.dead, 1)
    yield synchronize_rcu()
    slots = yield read_once(ref.slots)
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    yield atomic_long_add(ref.count, x - BIAS)
    yield from put_atomic(ref)


@scenario(cpus=2, setup=setup, left=0, faults={"inject": ["kill_at_once:5=sleep:200us@50%"]})
def ref_sum_one_by_one_fixed(m: Contexts) -> None:
    """A reference count turns atomic by one addition of the sum of its slots.

    The sum of all slots and the removal of the bias are one atomic addition, as in lib/percpu-refcount.c: before it the
    bias keeps every put from reaching 0, after it the count is right.
    """
    m.task(put, REF, cpu=1)
    m.task(kill_at_once, REF, name="kill")
