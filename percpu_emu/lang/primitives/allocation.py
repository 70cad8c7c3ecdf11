"""Memory: what a context asks the coordinator for."""

from __future__ import annotations

from percpu_emu.lang import context as c
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.context import Context
from percpu_emu.lang.service import service
from percpu_emu.shm.compiling import inner


@inner
def alloc_percpu(ctx: Context, size: int, align: int) -> int:
    return service(ctx, c.ALLOC_PERCPU, size, align)


@inner
def free_percpu(ctx: Context, pointer: int) -> int:
    return service(ctx, c.FREE_PERCPU, pointer, 0)


@inner
def kzalloc(ctx: Context, size: int) -> int:
    return service(ctx, c.KZALLOC, size, 0)


@inner
def kfree(ctx: Context, pointer: int) -> int:
    return service(ctx, c.KFREE, pointer, 0)
