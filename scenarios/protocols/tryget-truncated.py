"""A tryget gives the old count back: in 32 bits, where it says no and has taken the reference, or compared with 0."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    atomic_long_add_return,
    cmpxchg,
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
from percpu_emu.lang.words import LONG_MIN, UINT_MAX
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 1
BIAS = LONG_MIN
OBJECT = FIRST_OBJECT  # what the setup allocates
NAMES = {OBJECT: "object"}


class Slots(Struct):
    """References that were taken on a CPU, less those that were dropped there."""

    ref_slot: Word


class Ref(Struct):
    """A reference count: `count` has a bias as long as the slots are in use; `atomic` is 1 when they are not."""

    slots: PerCpu[Slots]
    count: AtomicLong
    atomic: Word


ref = Ref()


def setup() -> Program[None]:
    """An object with one reference."""
    yield kzalloc(8)
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(ref.slots, slots)
    yield write_once(ref.count, BIAS + 1)


def put() -> Program[None]:
    """Drop a reference; the last one frees the object."""
    yield rcu_read_lock()
    atomic = yield read_once(ref.atomic)
    slots = yield read_once(ref.slots)
    if atomic:
        yield from add(-1)
    else:
        yield this_cpu_add(slots.ref_slot, -1)
    yield rcu_read_unlock()


def add(references: int) -> Program[None]:
    """Add to the atomic count; with the last reference the object is freed."""
    slots = yield read_once(ref.slots)
    count = yield atomic_long_add_return(ref.count, references)
    if count == 0:
        yield free_percpu(slots)
        yield kfree(OBJECT)


def kill() -> Program[None]:
    """Drop the first reference; after a grace period the count is one number."""
    yield write_once(ref.atomic, 1)
    yield atomic_long_add(ref.count, -1)
    yield synchronize_rcu()
    slots = yield read_once(ref.slots)
    x = 0
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.ref_slot, cpu))
    yield from add(x - BIAS)


def inc_not_zero() -> Program[int]:
    """Add 1 to the count unless it is 0. Gives the old count."""
    old = yield read_once(ref.count)
    while old:
        seen = yield cmpxchg(ref.count, old, old + 1)
        if seen == old:
            return old
        old = seen
    return 0


def use() -> Program[None]:
    """Take a reference unless the last one is gone, and drop it."""
    yield rcu_read_lock()
    atomic = yield read_once(ref.atomic)
    slots = yield read_once(ref.slots)
    got = 1
    if atomic:
        old = yield from inc_not_zero()
        got = old & UINT_MAX  # wrong: 0 while there is nothing but the bias
    else:
        yield this_cpu_add(slots.ref_slot, 1)
    yield rcu_read_unlock()
    if got:
        yield from put()


@scenario(
    cpus=1,
    setup=setup,
    left=0,
    expect="leak",
    missing="comparing the whole count with 0 before it is cut to 32 bits",
)
def tryget_truncated(m: Contexts) -> None:
    """A tryget takes a reference and says that it did not, as the count's low 32 bits were 0.

    As long as a percpu_ref's slots are in use, its atomic count holds a bias of 2 to the 63rd. With the first reference
    dropped and the slots not yet added, it is the bias and nothing else: its low bits are 0. tryget added a reference
    if the count was not 0, and gave the old count back through a narrower type: 0, "no". The caller does not drop what
    it thinks it has not got, so the count never gets to 0, and the object is never freed (S9, 2017).

    The fixed version gives back whether the old count was 0.
    """
    m.task(use, cpu=0)
    m.task(kill)


def use_compared() -> Program[None]:
    """Take a reference unless the last one is gone, and drop it."""
    yield rcu_read_lock()
    atomic = yield read_once(ref.atomic)
    slots = yield read_once(ref.slots)
    got = 1
    if atomic:
        old = yield from inc_not_zero()
        got = old != 0
    else:
        yield this_cpu_add(slots.ref_slot, 1)
    yield rcu_read_unlock()
    if got:
        yield from put()


@scenario(cpus=1, setup=setup, left=0)
def tryget_truncated_fixed(m: Contexts) -> None:
    """A tryget that has taken a reference says so.

    The result of tryget is a comparison of all 64 bits: it says yes exactly if it has taken a reference.
    """
    m.task(use_compared, cpu=0, name="use")
    m.task(kill)
