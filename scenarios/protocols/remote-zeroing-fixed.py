"""Every CPU takes its own slot, by one exchange."""

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
    this_cpu_xchg,
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


def flush() -> Program[None]:
    """Move what this CPU's slot holds to the twin."""
    x = yield this_cpu_xchg(SLOT, 0)
    yield atomic_long_add(NR_PAGES, x)


def total(counter: int) -> Program[int]:
    """The value of the counter: its twin, and its slots."""
    x = yield read_once(counter)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(SLOT, cpu))
    return x
