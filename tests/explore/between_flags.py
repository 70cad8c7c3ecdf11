"""Programs for test_between_steps that wait for a flag: then what comes behind it cannot come before."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    kzalloc,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_barrier,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_cond_load_acquire,
    smp_mb,
    write_once,
)
from tests.programs import FLAG, X

from . import edge_programs as p

# --- one context raises FLAG, the other waits for it


def flag_then_call_rcu() -> Program[None]:
    yield write_once(FLAG, 1)
    yield call_rcu(p.write_late, 0)


def flag_then_barrier() -> Program[None]:
    yield write_once(FLAG, 1)
    yield from p.barrier_then_write()


def flag_then_read_inside() -> Program[int]:
    yield write_once(FLAG, 1)
    return (yield from p.read_twice_inside())


def flag_then_read_preempt_off() -> Program[int]:
    yield write_once(FLAG, 1)
    return (yield from p.read_twice_preempt_off())


def flag_inside_then_read() -> Program[int]:
    yield rcu_read_lock()
    yield write_once(FLAG, 1)
    x = yield read_once(X)
    yield rcu_read_unlock()
    return x


def on_flag_spin_inside() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.spin_inside()


def on_flag_queue_spinner() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.queue_spinner()


def on_flag_synchronize() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.synchronize_then_write()


def on_flag_barrier() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.barrier_then_write()


def flag_then_synchronize() -> Program[None]:
    yield write_once(FLAG, 1)
    yield from p.synchronize_then_write()


def flag_then_allocate() -> Program[int]:
    yield write_once(FLAG, 1)
    return (yield kzalloc(8))


def call_rcu_then_flag() -> Program[None]:
    yield call_rcu(p.write_late, 0)
    yield write_once(FLAG, 1)


def on_flag_allocate() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield kzalloc(8)


def on_flag_call_rcu() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield call_rcu(p.write_late, 0)


def on_flag_barrier_then_read() -> Program[int]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield rcu_barrier()
    return (yield read_once(X))


def spin_if_flag() -> Program[None]:
    flag = yield read_once(FLAG)
    if flag:
        yield smp_cond_load_acquire(X, 1)


def begin_then_spin_if_flag() -> Program[None]:
    yield smp_mb()
    yield from spin_if_flag()


def spin_inside_if_flag() -> Program[None]:
    yield rcu_read_lock()
    yield from spin_if_flag()
    yield rcu_read_unlock()


# --- ENTERED is raised as well


def enter_then_on_flag_leave() -> Program[None]:
    yield rcu_read_lock()
    yield write_once(p.ENTERED, 1)
    yield smp_cond_load_acquire(FLAG, 1)
    yield rcu_read_unlock()


def on_entered_synchronize() -> Program[None]:
    yield smp_cond_load_acquire(p.ENTERED, 1)
    yield from p.synchronize_then_write()


def on_entered_flag() -> Program[None]:
    yield smp_cond_load_acquire(p.ENTERED, 1)
    yield write_once(FLAG, 1)


def enter_then_on_flag_write() -> Program[None]:
    yield preempt_disable()
    yield write_once(p.ENTERED, 1)
    yield smp_cond_load_acquire(FLAG, 1)
    yield preempt_enable()
    yield write_once(X, 1)


def call_rcu_then_queue_writer() -> Program[None]:
    yield call_rcu(p.spin, 0)
    yield queue_work(p.write_late, 0)


def flag_then_queue_writer() -> Program[None]:
    yield write_once(FLAG, 1)
    yield queue_work(p.write_late, 0)


def on_flag_spin_preempt_off() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.spin_preempt_off()
