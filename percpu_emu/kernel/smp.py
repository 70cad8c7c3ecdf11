"""smp_call_function_single(): a program in an interrupt of another CPU, and the caller's wait until it has run.

kernel/smp.c. The operation `irq_work_queue_on` sends the interrupt. A `CallSingle` is locked from then until the
program that runs there unlocks it; to wait is to spin, as the kernel does:

    def drain(call: CallSingle):           # in the interrupt
        ...
        yield from csd_unlock(call)

    yield from csd_lock(call)
    yield irq_work_queue_on(drain, call, cpu)
    yield from csd_lock_wait(call)         # smp_call_function_single(cpu, drain, call, wait=1)

on_each_cpu() is a loop over the CPUs, with a `CallSingle` for each, and a second loop that waits. Where the target has
interrupts off and waits for the caller, in whatever way, neither goes on.
"""

from __future__ import annotations

from typing import Final

from percpu_emu.lang.ops import Program, smp_cond_load_acquire, smp_store_release, write_once
from percpu_emu.lang.structures import Struct, Word

CSD_FLAG_LOCK: Final = 1


class CallSingle(Struct):
    """call_single_data_t: locked while its call is on the way, or runs. What the call is for stands behind it."""

    flags: Word


def csd_lock(call: CallSingle) -> Program[None]:
    """Wait until an earlier call is over, and have it for the next one; one caller at a time."""
    yield from csd_lock_wait(call)
    yield write_once(call.flags, CSD_FLAG_LOCK)


def csd_unlock(call: CallSingle) -> Program[None]:
    """The program has run: what it wrote is there for who waits."""
    yield smp_store_release(call.flags, 0)


def csd_lock_wait(call: CallSingle) -> Program[None]:
    """Spin until the call is over."""
    yield smp_cond_load_acquire(call.flags, 0)
