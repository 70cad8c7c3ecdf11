"""Which CPU this is, and which there are."""

from __future__ import annotations

from percpu_emu.lang import context as c
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.context import Context
from percpu_emu.lang.service import at, in_block, in_header
from percpu_emu.shm import atomics
from percpu_emu.shm.compiling import inner


@inner
def smp_processor_id(ctx: Context) -> int:
    return atomics.read_once(in_block(ctx, c.CPU))


@inner
def nr_cpu_ids(ctx: Context) -> int:
    return atomics.read_once(in_header(ctx, c.NR_CPU_IDS))


@inner
def nr_node_ids(ctx: Context) -> int:
    return atomics.read_once(in_header(ctx, c.NR_NODE_IDS))


@inner
def cpumask_next(ctx: Context, cpu: int, mask: int) -> int:
    limit = nr_cpu_ids(ctx)
    cpu += 1
    while cpu < limit:
        word = atomics.read_once(at(ctx, mask + cpu // 64)) >> (cpu % 64)
        if word & 1:
            return cpu
        cpu = cpu + 1 if word != 0 else (cpu // 64 + 1) * 64
    return limit
