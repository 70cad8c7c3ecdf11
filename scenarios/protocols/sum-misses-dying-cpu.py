"""An exact sum while a CPU goes down: over the CPUs that are online, or over all possible CPUs."""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, CPU_POSSIBLE_MASK
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    per_cpu,
    read_once,
    wait_until,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Slots(Struct):
    """What every CPU has of the counter."""

    slot: Word


class Counter(Struct):
    """A counter; its lock protects the count, and the slots against being folded."""

    count: AtomicLong
    lock: Word


slots = Slots.static_per_cpu()
counter = Counter()


def setup() -> Program[None]:
    """CPU 1 has counted 1."""
    yield write_once(per_cpu(slots.slot, 1), 1)


def spin_lock() -> Program[None]:
    """Take the lock."""
    while (yield xchg(counter.lock, 1)):
        yield wait_until(counter.lock, 0)


def cpu_dead(cpu: int) -> Program[None]:
    """Fold the slot of a CPU that is dead."""
    yield from spin_lock()
    x = yield read_once(per_cpu(slots.slot, cpu))
    yield write_once(per_cpu(slots.slot, cpu), 0)
    yield atomic_long_add(counter.count, x)
    yield write_once(counter.lock, 0)


def reader() -> Program[None]:
    """Nothing is added or subtracted: the sum has to be 1."""
    yield from spin_lock()
    x = yield read_once(counter.count)
    x += yield from percpu_sum(slots, 0, CPU_ONLINE_MASK)  # wrong: a CPU leaves the mask before its slot is folded
    yield write_once(counter.lock, 0)
    yield warn_on(x != 1)


@scenario(cpus=2, setup=setup, expect="warning", missing="including the CPUs whose slots are not folded yet")
def sum_misses_dying_cpu(m: Contexts) -> None:
    """A sum over the online CPUs misses what a CPU has counted that is going down.

    percpu_counter_sum adds up the slots of the CPUs that are online. A CPU that goes down is taken off that mask first,
    and its slot is folded into the count by a callback later: in between it is in neither (S11; 8b57b11cca88 in 2023,
    corrected again in 2024). The same mistake in the XFS log shut file systems down.

    The fixed version sums over all possible CPUs: a slot that was folded is 0, one that was not still counts.
    """
    m.task(reader, cpu=0)
    m.offline(cpu_dead, "cpu", cpu=1)


def reader_of_all() -> Program[None]:
    """Nothing is added or subtracted: the sum has to be 1."""
    yield from spin_lock()
    x = yield read_once(counter.count)
    x += yield from percpu_sum(slots, 0, CPU_POSSIBLE_MASK)
    yield write_once(counter.lock, 0)
    yield warn_on(x != 1)


@scenario(cpus=2, setup=setup)
def sum_misses_dying_cpu_fixed(m: Contexts) -> None:
    """A sum over the possible CPUs also finds what a CPU has counted that is going down.

    A CPU's slot is 0 once it was folded, so summing over all possible CPUs counts it exactly once: in the slot before,
    in the count after. The lock keeps the fold from coming in between.
    """
    m.task(reader_of_all, cpu=0, name="reader")
    m.offline(cpu_dead, "cpu", cpu=1)
