"""Small programs for the tests of replays, and the settings that they are in."""

from __future__ import annotations

from typing import Any

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, STATIC, STATIC_WORDS
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    cmpxchg,
    free_percpu,
    kfree,
    kzalloc,
    ledger_add,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_processor_id,
    synchronize_rcu,
    this_cpu_add,
    this_cpu_inc,
    this_cpu_read,
    this_cpu_write,
    wait_until,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import ContextKind, ContextSpec, Setting
from tests.programs import COUNTER, FLAG, POINTER, SLOT, count_raw, free_slots

STEP = 1
"""Tests change it by a setting's constants."""


def task(program: ProgramFunction, cpu: int | None = None, **more: Any) -> ContextSpec:
    return ContextSpec(program.__name__, program, cpu=cpu, **more)


def event(kind: ContextKind, cpu: int, program: ProgramFunction) -> ContextSpec:
    return ContextSpec(f"{kind} {cpu}", program, kind, cpu)


def lose(word: int) -> Program[int]:
    x = yield read_once(word)
    yield write_once(word, x + STEP)
    return x + STEP


def count_irqs_off() -> Program[None]:
    flags = yield local_irq_save()
    yield from count_raw()
    yield local_irq_restore(flags)


def count_preempt_off() -> Program[None]:
    yield preempt_disable()
    yield from count_raw()
    yield preempt_enable()


def twice_here(turn: int) -> Program[int]:
    """Three steps, with a result that tells on which CPU the last one was, and what the first one saw."""
    x = yield this_cpu_read(SLOT)
    yield this_cpu_write(SLOT, x + 10)
    cpu = yield smp_processor_id()
    return x * 100 + cpu * 10 + turn


def publish() -> Program[None]:
    slots = yield alloc_percpu(16, 8)
    yield write_once(POINTER, slots)


def update() -> Program[None]:
    yield rcu_read_lock()
    slots = yield rcu_dereference(POINTER)
    if slots:
        yield this_cpu_inc(slots + 1)
    yield rcu_read_unlock()


def look() -> Program[int]:
    slots = yield read_once(POINTER)
    return (yield read_once(per_cpu(slots, 0)))


def free_at_once() -> Program[None]:
    slots = yield xchg(POINTER, 0)
    yield free_percpu(slots)


def free_after_grace_period() -> Program[None]:
    slots = yield xchg(POINTER, 0)
    yield synchronize_rcu()
    yield free_percpu(slots)


def free_by_callback() -> Program[None]:
    slots = yield xchg(POINTER, 0)
    yield call_rcu(free_slots, slots)
    yield rcu_barrier()


def clear_slot() -> Program[int]:
    return (yield xchg(per_cpu(SLOT, 1), 0))


def chain(left: int) -> Program[None]:
    """A callback with interrupts off for a while, that queues another one."""
    flags = yield local_irq_save()
    if left:
        yield call_rcu(chain, left - 1)
    yield local_irq_restore(flags)
    word = yield kzalloc(8)
    if (yield cmpxchg(FLAG, 0, word)) != 0:
        yield kfree(word)


def queue() -> Program[None]:
    yield rcu_read_lock()
    yield call_rcu(chain, 1)
    yield this_cpu_add(SLOT, 5)
    yield rcu_read_unlock()
    yield queue_work(chain, 0)
    yield rcu_barrier()


def queue_in_section() -> Program[None]:
    yield rcu_read_lock()
    yield call_rcu(chain, 1)
    yield rcu_read_unlock()


def again(left: int) -> Program[None]:
    """A callback that queues itself before anything else."""
    if left:
        yield call_rcu(again, left - 1)
    yield atomic_long_add(FLAG, 1)


def ping(left: int) -> Program[None]:
    if left:
        yield call_rcu(pong, left - 1)
    yield atomic_long_add(FLAG, 10)


def pong(left: int) -> Program[None]:
    yield atomic_long_add(FLAG, 100)
    if left:
        yield queue_work(ping, left - 1)


def nothing(_word: int) -> Program[None]:
    if FLAG == 0:
        yield write_once(FLAG, 1)


def note_twice(_word: int) -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield ledger_add(POINTER, 1)


def queue_notes() -> Program[None]:
    for _ in range(2):
        yield queue_work(note_twice, 0)


def queue_again() -> Program[None]:
    yield call_rcu(again, 2)
    yield rcu_barrier()


def queue_each_other() -> Program[None]:
    yield call_rcu(ping, 3)
    yield queue_work(pong, 2)
    yield call_rcu(nothing, 0)


def queue_many(count: int) -> Program[None]:
    for _ in range(count):
        yield queue_work(free_slots, 0)


def fold() -> Program[int]:
    held = yield from percpu_sum(SLOT, 0, CPU_ONLINE_MASK)
    yield atomic_long_add(COUNTER, held)
    return held


def wait_for_flag() -> Program[None]:
    yield wait_until(FLAG, 7)


def set_flag() -> Program[None]:
    yield write_once(FLAG, 7)


def free_anything() -> Program[None]:
    yield free_percpu(512)


def read_low() -> Program[None]:
    yield read_once(8)


def read_behind_static() -> Program[None]:
    yield read_once(STATIC + STATIC_WORDS)


def read_minus_one() -> Program[None]:
    yield read_once(-1)


def write_beyond() -> Program[None]:
    slots = yield alloc_percpu(12, 8)
    yield write_once(per_cpu(slots + 2, 1), 5)


def read_beyond_freed() -> Program[None]:
    word = yield kzalloc(8)
    yield kfree(word)
    yield read_once(word + 1)


def read_freed() -> Program[None]:
    word = yield kzalloc(8)
    yield kfree(word)
    yield read_once(word)


def read_next_object() -> Program[None]:
    word = yield kzalloc(4096)
    yield read_once(word + 512)


def allocate_nothing() -> Program[None]:
    yield kzalloc(0)


def allocate_much() -> Program[None]:
    yield alloc_percpu(4097, 8)


def note_too_many() -> Program[None]:
    for _ in range(4):
        yield ledger_add(COUNTER, 1)


def wait_for_readers(_word: int) -> Program[None]:
    yield synchronize_rcu()


def queue_waiting() -> Program[None]:
    yield this_cpu_inc(SLOT)
    yield queue_work(wait_for_readers, 0)


def fill_area() -> Program[None]:
    area = yield alloc_percpu(4096, 8)
    yield this_cpu_add(area + 511, 5)


def sleep_in_section() -> Program[None]:
    yield rcu_read_lock()
    yield wait_until(FLAG, 7)
    yield rcu_read_unlock()


def save_twice() -> Program[int]:
    """Gives whether interrupts were off the second time."""
    outer = yield local_irq_save()
    inner = yield local_irq_save()
    yield local_irq_restore(inner)
    yield local_irq_restore(outer)
    return inner


def in_odd_turns(turn: int) -> Program[int]:
    if turn & 1:
        yield write_once(FLAG, turn)
        return turn + 10
    return turn


def kzalloc_many(count: int) -> Program[None]:
    for _ in range(count):
        yield kzalloc(8)


def read_never_allocated() -> Program[None]:
    yield read_once(per_cpu(512 * 3, 1))


def read_nowhere() -> Program[None]:
    yield read_once(per_cpu(1 << 30, 0))


def count_for_ever() -> Program[None]:
    while True:
        yield this_cpu_inc(SLOT)


def compute_for_ever(word: int) -> Program[None]:
    x = yield read_once(word)
    while x == 0:
        pass


LOST_UPDATE = Setting(2, (task(lose, 0, arguments=(COUNTER,)), task(lose, 1, arguments=(COUNTER,))))
READ_WHAT_IS_FREED = Setting(2, (task(look, 0), task(free_at_once, 1)), publish)
WRITE_WHAT_IS_FREED = Setting(2, (task(update, 0), task(free_at_once)), publish)
GRACE_PERIOD = Setting(2, (task(update, 0), task(free_after_grace_period, 1)), publish)
CALLBACK = Setting(2, (task(update, 0), task(free_by_callback, 1)), publish)

BUSY = [
    Setting(2, (task(update, 1, turns=2), task(free_by_callback, 0), event("interrupt", 1, update)), publish),
    Setting(2, (task(count_raw, 0, turns=2, migrates=2), task(count_irqs_off, 1), event("interrupt", 0, count_raw))),
    Setting(2, (task(queue, 0), task(count_raw, 0, migrates=1), event("kill", 0, fold), task(update, 1)), publish),
    Setting(
        3,
        (
            *(task(queue, 1), task(count_preempt_off, 1), event("offline", 1, fold)),
            event("interrupt", 1, queue_in_section),
        ),
    ),
    Setting(2, (task(queue_again, 0), task(queue_each_other, 1), task(queue_again), event("kill", 1, fold))),
]
