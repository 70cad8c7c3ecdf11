"""RCU on the machine, quiescent-state based, so that a reader costs nothing; callbacks and work."""

from __future__ import annotations

from percpu_emu.lang import context as c
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.context import Context
from percpu_emu.lang.service import in_block, in_header, service
from percpu_emu.lang.tokens import (
    sleep_begins,
    sleep_ends,
    waits_for,
)
from percpu_emu.shm import atomics, syscalls
from percpu_emu.shm.compiling import inner


@inner
def rcu_read_lock(ctx: Context) -> int:
    return 0


rcu_read_unlock = rcu_read_lock
preempt_disable = rcu_read_lock  # a CPU process runs one task: nothing preempts it in favour of another
preempt_enable = rcu_read_lock


@inner
def quiescent_state(ctx: Context) -> int:
    """Report to a grace period that has begun since the last time, and let another process have the processor."""
    sequence = atomics.load_acquire(in_header(ctx, c.GP_SEQ))
    if atomics.unlikely(sequence != atomics.read_once(in_block(ctx, c.QUIESCENT))):
        atomics.fence()
        atomics.write_once(in_block(ctx, c.QUIESCENT), sequence)
        atomics.fence()
        syscalls.sched_yield()
    return 0


@inner
def ring_doorbell(ctx: Context) -> int:
    """Have the coordinator look round."""
    atomics.fetch_add(in_header(ctx, c.DOORBELL), 1)
    syscalls.futex_wake(in_header(ctx, c.DOORBELL))
    return 0


@inner
def _blocking_service(ctx: Context, code: int, what: int) -> int:
    sleep_begins(ctx)
    waits_for(ctx, what)
    answer = service(ctx, code, 0, 0)
    waits_for(ctx, 0)
    sleep_ends(ctx)
    return answer


@inner
def _enqueue(ctx: Context, what: int, argument: int) -> int:
    tail = atomics.read_once(in_block(ctx, c.RING_TAIL))
    if tail - atomics.load_acquire(in_block(ctx, c.RING_HEAD)) == c.RING_ENTRIES:
        service(ctx, c.DRAIN_RING, 0, 0)
    entry = in_block(ctx, c.RING + (tail % c.RING_ENTRIES) * 2)
    atomics.write_once(entry, what)
    atomics.write_once(entry + 8, argument)
    atomics.store_release(in_block(ctx, c.RING_TAIL), tail + 1)
    ring_doorbell(ctx)
    return 0


@inner
def call_rcu(ctx: Context, program: int, argument: int) -> int:
    return _enqueue(ctx, program * 2 + c.CALLBACK, argument)


@inner
def queue_work(ctx: Context, program: int, argument: int) -> int:
    return _enqueue(ctx, program * 2 + c.WORK, argument)


@inner
def synchronize_rcu(ctx: Context) -> int:
    return _blocking_service(ctx, c.SYNCHRONIZE_RCU, c.FOR_READERS)


@inner
def rcu_barrier(ctx: Context) -> int:
    return _blocking_service(ctx, c.RCU_BARRIER, c.FOR_CALLBACKS)
