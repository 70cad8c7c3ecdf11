"""The slots of a dead CPU are folded with this_cpu_xchg: those of the CPU that does it."""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    ledger_add,
    ledger_commit,
    read_once,
    this_cpu_add,
    this_cpu_xchg,
    wait_until,
    write_once,
)
from percpu_emu.lang.setting import OBJECT_WORDS

STATS = STATIC + 0  # where the slots are, on every CPU
TOTAL = STATIC + 1  # the atomic twin of the slots
DEAD = STATIC + 2  # 1: the CPU is dead, and the control CPU knows it
NAMES = {OBJECT_WORDS: "slot"}


def setup() -> Program[None]:
    """One counter: a slot on every CPU."""
    slots = yield alloc_percpu(8, 8)
    yield write_once(STATS, slots)


def update() -> Program[None]:
    """Add 1 to the slot of this CPU."""
    yield ledger_add(TOTAL, 1)
    slots = yield read_once(STATS)
    yield this_cpu_add(slots, 1)
    yield ledger_commit()


def die() -> Program[None]:
    """The CPU is dead; tell the control CPU."""
    yield write_once(DEAD, 1)


def cpu_dead(cpu: int) -> Program[None]:  # noqa: ARG001
    """On the control CPU: fold the slots of a CPU that is dead."""
    yield wait_until(DEAD, 1)
    slots = yield read_once(STATS)
    x = yield this_cpu_xchg(slots, 0)  # wrong: this CPU is the control CPU
    yield atomic_long_add(TOTAL, x)


def total(counter: int) -> Program[int]:
    """What a reader finds: the twin, and the slots of the CPUs that are online."""
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    if slots:
        x += yield from percpu_sum(slots, 0, CPU_ONLINE_MASK)
    return x
