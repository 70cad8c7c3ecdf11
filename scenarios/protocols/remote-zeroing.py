"""A flusher zeroes the slots of a CPU that is adding to them."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    ledger_add,
    ledger_commit,
    per_cpu,
    read_once,
    this_cpu_add,
    write_once,
)

NR_CPUS = 2
SLOT = 8  # in the static area of every CPU
NR_PAGES = STATIC + 0  # the atomic twin of the slots
NAMES = {SLOT: "slot"}


def charge() -> Program[None]:
    """Count a page."""
    yield ledger_add(NR_PAGES, 1)
    yield this_cpu_add(SLOT, 1)
    yield ledger_commit()


def flush(cpu: int) -> Program[None]:
    """Move what that CPU's slot holds to the twin."""
    x = yield read_once(per_cpu(SLOT, cpu))
    yield write_once(per_cpu(SLOT, cpu), 0)  # wrong: the CPU may have added to it
    yield atomic_long_add(NR_PAGES, x)


def total(counter: int) -> Program[int]:
    """The value of the counter: its twin, and its slots."""
    x = yield read_once(counter)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(SLOT, cpu))
    return x
