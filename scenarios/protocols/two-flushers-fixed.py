"""Two flushers, one list: the second waits for a grace period before it frees itself."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import FIRST_OBJECT

UPDATED = STATIC + 0  # the first entry whose statistics have changed
TOTAL = STATIC + 1
ENTRY = FIRST_OBJECT
DELTA = 0  # in an entry
NEXT = 1
NAMES = {ENTRY + DELTA: "delta of the entry", ENTRY + NEXT: "next of the entry"}


def setup() -> Program[None]:
    """One entry is on the list."""
    entry = yield kzalloc(16)
    yield write_once(entry + DELTA, 1)
    yield write_once(UPDATED, entry)
    yield ledger_add(TOTAL, 1)
    yield ledger_commit()


def flush() -> Program[None]:
    """Take the list and add what its entries hold."""
    yield rcu_read_lock()
    entry = yield xchg(UPDATED, 0)
    while entry:
        delta = yield read_once(entry + DELTA)
        yield atomic_long_add(TOTAL, delta)
        entry = yield read_once(entry + NEXT)
    yield rcu_read_unlock()


def release() -> Program[None]:
    """The group that the entry belongs to goes."""
    yield from flush()
    yield synchronize_rcu()
    yield kfree(ENTRY)


def total(counter: int) -> Program[int]:
    """The value of the counter."""
    return (yield read_once(counter))
