"""A this_cpu_add: one instruction, between whose read and write no interrupt comes."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    ledger_add,
    ledger_commit,
    per_cpu,
    read_once,
    this_cpu_add,
)

NR_CPUS = 1
SLOT = 8  # in the static area of every CPU
NR_PAGES = STATIC + 0  # stands for the counter in the ledger; all of it is in the slots
NAMES = {SLOT: "slot"}


def charge() -> Program[None]:
    """A task counts a page."""
    yield ledger_add(NR_PAGES, 1)
    yield this_cpu_add(SLOT, 1)
    yield ledger_commit()


def charge_in_interrupt() -> Program[None]:
    """An interrupt counts a page."""
    yield ledger_add(NR_PAGES, 1)
    yield this_cpu_add(SLOT, 1)
    yield ledger_commit()


def total(counter: int) -> Program[int]:
    """The value of the counter: the sum of its slots."""
    x = yield read_once(counter)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(SLOT, cpu))
    return x
