"""A flush exchanges a slot, on the CPU that adds to it without LOCK or on another."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    ledger_add,
    ledger_commit,
    per_cpu,
    read_once,
    this_cpu_add,
    write_once,
    xchg,
)

STATS = STATIC + 0
TOTAL = STATIC + 1


def setup() -> Program[None]:
    slots = yield alloc_percpu(8, 8)
    yield write_once(STATS, slots)


def update() -> Program[None]:
    yield ledger_add(TOTAL, 1)
    slots = yield read_once(STATS)
    yield this_cpu_add(slots, 1)
    yield ledger_commit()


def flush() -> Program[None]:
    slots = yield read_once(STATS)
    x = yield xchg(per_cpu(slots, 0), 0)
    yield atomic_long_add(TOTAL, x)


def total(counter: int) -> Program[int]:
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    for cpu in range(2):
        x += yield read_once(per_cpu(slots, cpu))
    return x
