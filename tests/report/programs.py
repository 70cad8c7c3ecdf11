"""Small programs whose yields the traces of these tests point at: a counter with a slot on every CPU."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    __this_cpu_read,
    __this_cpu_write,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    cpumask_next,
    free_percpu,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    nr_cpu_ids,
    per_cpu,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_mb,
    synchronize_rcu,
    wait_until,
    write_once,
)

STATS = 70144
COUNTER = 70145
ONLINE = 65552
NULL = 0
FIRST = 0
SECOND = 0
"""What the slots hold at first: a trace's own."""


def publish() -> Program[None]:
    """The setup: each CPU has a slot."""
    slots = yield alloc_percpu(8, 8)
    yield write_once(per_cpu(slots, 0), FIRST)
    if SECOND:
        yield write_once(per_cpu(slots, 1), SECOND)
    yield write_once(STATS, slots)
    yield ledger_add(COUNTER, FIRST + SECOND)
    yield ledger_commit()


def count(delta: int) -> Program[None]:
    """Add to this CPU's slot, or to the counter once the slots are released."""
    yield ledger_add(COUNTER, delta)
    yield rcu_read_lock()
    slots = yield rcu_dereference(STATS)
    if slots:
        x = yield __this_cpu_read(slots)
        yield __this_cpu_write(slots, x + delta)
    else:
        yield atomic_long_add(COUNTER, delta)
    yield rcu_read_unlock()
    yield ledger_commit()


def count_with_irqs_off(delta: int) -> Program[None]:
    """The same, where an interrupt may not come."""
    flags = yield local_irq_save()
    yield from count(delta)
    yield local_irq_restore(flags)


def flush_then_swap() -> Program[None]:
    """Wrong: what is added after a slot was read stays in it."""
    slots = yield read_once(STATS)
    cpu = yield cpumask_next(-1, ONLINE)
    while cpu < (yield nr_cpu_ids()):
        x = yield read_once(per_cpu(slots, cpu))
        if x:
            yield atomic_long_add(COUNTER, x)
        cpu = yield cpumask_next(cpu, ONLINE)
    yield rcu_assign_pointer(STATS, NULL)
    yield synchronize_rcu()
    yield free_percpu(slots)


def free_at_once() -> Program[None]:
    """Wrong: a CPU may still be about to write."""
    slots = yield read_once(STATS)
    yield rcu_assign_pointer(STATS, NULL)
    yield free_percpu(slots)


def swap_then_flush(slots: int) -> Program[None]:
    """Right: the rest is left to the callback."""
    yield rcu_assign_pointer(STATS, NULL)
    yield call_rcu(flush_and_free, slots)


def flush_and_free(slots: int) -> Program[None]:
    """The RCU callback."""
    for cpu in range((yield nr_cpu_ids())):
        x = yield read_once(per_cpu(slots, cpu))
        yield write_once(per_cpu(slots, cpu), 0)
        yield atomic_long_add(COUNTER, x)
    yield free_percpu(slots)


def wait_for_release() -> Program[None]:
    """Wait until no slots are published."""
    yield smp_mb()
    yield wait_until(STATS, NULL)


def cpu_dead(cpu: int) -> Program[None]:
    """A CPU is down: its slot is folded into the counter."""
    slots = yield rcu_dereference(STATS)
    if slots:
        x = yield read_once(per_cpu(slots, cpu))
        yield write_once(per_cpu(slots, cpu), 0)
        yield atomic_long_add(COUNTER, x)
