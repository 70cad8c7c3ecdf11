"""Programs for test_between_steps that interrupt another CPU."""

from __future__ import annotations

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    irq_work_queue_on,
    local_irq_restore,
    local_irq_save,
    read_once,
    smp_cond_load_acquire,
    smp_mb,
    this_cpu_inc,
    wait_until,
    warn_on,
    write_once,
)
from tests.programs import FLAG, SLOT, X

from . import between_words as w
from . import edge_programs as p


def increment(_: int) -> Program[None]:
    yield this_cpu_inc(SLOT)


def send_increment() -> Program[None]:
    yield irq_work_queue_on(increment, 0, 0)


def send_then_flag() -> Program[None]:
    yield irq_work_queue_on(p.write_x, 1, 0)
    yield write_once(FLAG, 1)


def irqs_off_then_on_flag_read() -> Program[int]:
    """Interrupts go off while the task cannot go on yet."""
    flags = yield local_irq_save()
    yield smp_cond_load_acquire(FLAG, 1)
    x = yield read_once(X)
    yield local_irq_restore(flags)
    return x


def send_then_write() -> Program[None]:
    yield irq_work_queue_on(w.warn_before_write, 0, 0)
    yield write_once(X, 1)


def send_late_then_write() -> Program[None]:
    yield irq_work_queue_on(w.warn_after_write, 0, 0)
    yield write_once(X, 1)


def send_two() -> Program[None]:
    yield irq_work_queue_on(p.write_x, 1, 0)
    yield irq_work_queue_on(p.write_x, 2, 0)


def send_two_then_on_second_read() -> Program[int]:
    yield from send_two()
    yield smp_cond_load_acquire(X, 2)
    yield smp_mb()
    return (yield read_once(X))


def flag_then_send_one() -> Program[None]:
    yield write_once(FLAG, 1)
    yield irq_work_queue_on(p.write_x, 1, 0)


def send_two_if_flag() -> Program[int]:
    flag = yield read_once(FLAG)
    if flag:
        yield irq_work_queue_on(p.write_x, 2, 0)
    return flag


def flag_then_send_result() -> Program[int]:
    yield write_once(FLAG, 1)
    return (yield irq_work_queue_on(p.write_x, 1, 0))


def read_flag_and_mask() -> Program[int]:
    flag = yield read_once(FLAG)
    online = yield read_once(CPU_ONLINE_MASK)
    return 2 * flag + (online & 1)


def send_if_online() -> Program[int]:
    return (yield irq_work_queue_on(p.write_x, 1, 0))


def read_x() -> Program[None]:
    x = yield read_once(X)
    yield write_once(FLAG, 2 + x)


def warn_late(condition: int) -> Program[None]:
    yield warn_on(condition)


def send_warning() -> Program[None]:
    yield irq_work_queue_on(warn_late, 1, 0)


def on_flag_send_spinner() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield irq_work_queue_on(p.spin, 0, 1)


def call_spinner(_: int) -> Program[None]:
    yield call_rcu(p.spin, 0)


def on_flag_send_caller() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield irq_work_queue_on(call_spinner, 0, 1)


def on_flag_send_spinner_here() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield irq_work_queue_on(p.spin, 0, 0)


def nested_send(_: int) -> Program[None]:
    yield irq_work_queue_on(p.write_x, 1, 0)


def send_chain() -> Program[None]:
    yield irq_work_queue_on(nested_send, 0, 1)


def flag_then_irqs_off_read() -> Program[int]:
    yield write_once(FLAG, 1)
    flags = yield local_irq_save()
    x = yield read_once(X)
    yield local_irq_restore(flags)
    return x


def on_flag_send_one() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield irq_work_queue_on(p.write_x, 1, 0)


def on_flag_send_caller_here() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield irq_work_queue_on(call_spinner, 0, 0)


def sleep(_: int) -> Program[None]:
    yield wait_until(X, 0)


def send_sleeper() -> Program[None]:
    yield irq_work_queue_on(sleep, 0, 0)
