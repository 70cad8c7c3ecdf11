"""A __this_cpu_add with preemption off: the task stays on its CPU."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    ledger_add,
    ledger_commit,
    per_cpu,
    preempt_disable,
    preempt_enable,
    read_once,
    this_cpu_add,
)
from percpu_emu.lang.raw import __this_cpu_add

NR_CPUS = 2
SLOT = 8  # in the static area of every CPU
NR_PAGES = STATIC + 0  # stands for the counter in the ledger; all of it is in the slots
NAMES = {SLOT: "slot"}


def moving_charge() -> Program[None]:
    """A task counts a page. The scheduler moves it to another CPU."""
    yield ledger_add(NR_PAGES, 1)
    yield preempt_disable()
    yield from __this_cpu_add(SLOT, 1)
    yield preempt_enable()
    yield ledger_commit()


def charge() -> Program[None]:
    """A task that stays on its CPU counts a page."""
    yield ledger_add(NR_PAGES, 1)
    yield this_cpu_add(SLOT, 1)
    yield ledger_commit()


def total(counter: int) -> Program[int]:
    """The value of the counter: the sum of its slots."""
    x = yield read_once(counter)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(SLOT, cpu))
    return x
