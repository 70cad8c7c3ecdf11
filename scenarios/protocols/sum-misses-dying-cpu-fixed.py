"""An exact sum over all possible CPUs."""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_POSSIBLE_MASK, STATIC
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

COUNT = STATIC + 0
LOCK = STATIC + 1  # 1: taken. Protects the count, and the slots against being folded
SLOT = 8  # in the static area of every CPU
NAMES = {SLOT: "slot"}


def setup() -> Program[None]:
    """CPU 1 has counted 1."""
    yield write_once(per_cpu(SLOT, 1), 1)


def spin_lock() -> Program[None]:
    """Take the lock."""
    while (yield xchg(LOCK, 1)):
        yield wait_until(LOCK, 0)


def reader() -> Program[None]:
    """Nothing is added or subtracted: the sum has to be 1."""
    yield from spin_lock()
    x = yield read_once(COUNT)
    x += yield from percpu_sum(SLOT, 0, CPU_POSSIBLE_MASK)
    yield write_once(LOCK, 0)
    yield warn_on(x != 1)


def cpu_dead(cpu: int) -> Program[None]:
    """Fold the slot of a CPU that is dead."""
    yield from spin_lock()
    x = yield read_once(per_cpu(SLOT, cpu))
    yield write_once(per_cpu(SLOT, cpu), 0)
    yield atomic_long_add(COUNT, x)
    yield write_once(LOCK, 0)
