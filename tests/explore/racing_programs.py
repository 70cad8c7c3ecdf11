"""Programs for test_strategies: two tasks that race for a word."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    cpu_relax,
    ledger_add,
    ledger_commit,
    mark,
    read_once,
    this_cpu_add,
    wait_until,
    write_once,
)

WORD = STATIC + 0
FLAG = STATIC + 1


def increment() -> Program[None]:
    x = yield read_once(WORD)
    yield write_once(WORD, x + 1)


def rare() -> Program[None]:
    x = yield read_once(WORD)
    if x == 7:
        yield mark("never")
    yield mark("always")


def poll() -> Program[None]:
    x = yield read_once(FLAG)
    while x == 0:
        yield cpu_relax()
        x = yield read_once(FLAG)


def raise_flag() -> Program[None]:
    yield write_once(FLAG, 1)


def count_here() -> Program[None]:
    yield this_cpu_add(8, 1)


def count_late() -> Program[None]:
    yield ledger_add(WORD, 1)
    yield ledger_commit()
    yield atomic_long_add(WORD, 1)


def count_then_wait() -> Program[None]:
    yield ledger_add(WORD, 1)
    yield ledger_commit()
    yield wait_until(FLAG, 1)
