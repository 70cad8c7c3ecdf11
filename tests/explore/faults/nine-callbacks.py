"""Nine callbacks are queued at a time."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, call_rcu, rcu_read_lock, rcu_read_unlock, smp_mb


def counts(_: int) -> Program[None]:
    yield smp_mb()


def queues() -> Program[None]:
    yield rcu_read_lock()
    for _ in range(9):
        yield call_rcu(counts, 0)
    yield rcu_read_unlock()
