"""Programs for test_between_steps that wait for nothing."""

from __future__ import annotations

from typing import Final

from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    call_rcu,
    cpu_relax,
    ledger_add,
    ledger_commit,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_mb,
    smp_processor_id,
    this_cpu_inc,
    this_cpu_read,
    warn_on,
    write_once,
)
from tests.programs import COUNTER, FLAG, SLOT, X

from . import edge_programs as p

IN_STEP: Final = 4
"""So often a reader and a writer take turns: no random way of the learning comes to the read that follows."""


def read_x_and_flag() -> Program[int]:
    x = yield read_once(X)
    flag = yield read_once(FLAG)
    return 2 * x + flag


def read_flag_and_x() -> Program[int]:
    flag = yield read_once(FLAG)
    x = yield read_once(X)
    return 2 * flag + x


def relax_inside_then_read() -> Program[int]:
    yield rcu_read_lock()
    yield cpu_relax()
    x = yield read_once(X)
    yield rcu_read_unlock()
    return x


def read_own_copy_twice() -> Program[int]:
    first = yield this_cpu_read(SLOT)
    second = yield this_cpu_read(SLOT)
    return 2 * first + second


def increment_at_second_step() -> Program[None]:
    yield smp_mb()
    yield this_cpu_inc(SLOT)


def write_each_turn(turn: int) -> Program[int]:
    yield write_once(X + turn, 1)
    return turn + 1


def queue_work_that_writes() -> Program[None]:
    yield queue_work(p.write_late, 0)


def call_late_then_write() -> Program[None]:
    yield call_rcu(warn_after_write, 0)
    yield write_once(X, 1)


def warn_after_write(_: int) -> Program[None]:
    yield smp_mb()
    x = yield read_once(X)
    yield warn_on(x)


def read_on_two_cpus() -> Program[int]:
    x = yield read_once(X)
    cpu = yield smp_processor_id()
    flag = yield read_once(FLAG)
    return 4 * x + 2 * cpu + flag


def write_then_flag_preempt_off() -> Program[None]:
    yield write_once(X, 1)
    yield preempt_disable()
    yield write_once(FLAG, 1)
    yield preempt_enable()


def queue_then_write() -> Program[None]:
    yield queue_work(warn_before_write, 0)
    yield write_once(X, 1)


def call_then_write() -> Program[None]:
    yield call_rcu(warn_before_write, 0)
    yield write_once(X, 1)


def warn_before_write(_: int) -> Program[None]:
    x = yield read_once(X)
    yield warn_on(x == 0)


def total(counter: int) -> Program[int]:
    return (yield read_once(counter)) + (yield read_once(per_cpu(SLOT, 0)))


def count_on_own_copy() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield this_cpu_inc(SLOT)
    yield ledger_commit()


def count_on_copy_of_cpu_0() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(per_cpu(SLOT, 0), 1)
    yield ledger_commit()


def increment_then_write() -> Program[None]:
    yield this_cpu_inc(SLOT)
    yield write_once(X, 1)


def store_then_flag() -> Program[None]:
    yield write_once(per_cpu(SLOT, 0), 7)
    yield write_once(FLAG, 1)


def read_after_steps() -> Program[int]:
    for number in range(1, IN_STEP + 1):
        x = yield read_once(X)
        if x != number:
            return 0
    flag = yield read_once(FLAG)
    return 1 + flag


def count_steps_then_flag() -> Program[None]:
    for number in range(1, IN_STEP + 1):
        yield write_once(X, number)
    yield write_once(FLAG, 1)


def store_after_steps() -> Program[int]:
    for number in range(1, IN_STEP + 1):
        x = yield read_once(X)
        if x != number:
            return 0
    yield write_once(per_cpu(SLOT, 1), 7)
    return 1


def count_steps_then_increment() -> Program[None]:
    for number in range(1, IN_STEP + 1):
        yield write_once(X, number)
    yield this_cpu_inc(SLOT)


def write_then_wild() -> Program[None]:
    yield write_once(X, 1)
    yield write_once(-1, 1)
