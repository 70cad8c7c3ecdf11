"""A ticket lock of three CPUs, taken by polling."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    atomic_long_fetch_add,
    cpu_relax,
    read_once,
    smp_store_release,
    wait_until,
    warn_on,
    write_once,
)

NEXT = STATIC + 0
OWNER = STATIC + 1
WORD = STATIC + 2


def update() -> Program[None]:
    ticket = yield atomic_long_fetch_add(NEXT, 1)
    while (yield read_once(OWNER)) != ticket:
        yield cpu_relax()
    x = yield read_once(WORD)
    yield write_once(WORD, x + 1)
    yield smp_store_release(OWNER, ticket + 1)


def looks() -> Program[None]:
    yield wait_until(OWNER, 3)
    x = yield read_once(WORD)
    yield warn_on(x != 3)
