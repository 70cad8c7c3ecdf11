"""An update goes to the word behind a per-CPU area of 8 bytes."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, alloc_percpu, read_once, this_cpu_add, write_once

SLOTS = STATIC + 0


def setup() -> Program[None]:
    slots = yield alloc_percpu(8, 8)
    yield write_once(SLOTS, slots)


def update() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield this_cpu_add(slots + 1, 1)
