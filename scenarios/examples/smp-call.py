"""A CPU calls a function on another one and waits: with interrupts off, or holding a lock; or drains it from afar.

kernel/smp.c: the warning of smp_call_function_many() about interrupts that are off; drain_local_pages() on each CPU.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.locks import SpinLock, spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore
from percpu_emu.kernel.smp import CallSingle, csd_lock, csd_lock_wait, csd_unlock
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    counted,
    irq_work_queue_on,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    read_once,
    this_cpu_add,
    this_cpu_xchg,
)
from percpu_emu.lang.structures import Array, AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2


class Batch(Struct):
    """What a CPU has counted and not passed on."""

    count: Word


class Shared(Struct):
    """A call for each CPU, the lock, and the sum of all CPUs."""

    calls: Array[CallSingle, Literal[2]]
    lock: SpinLock
    total: AtomicLong


shared = Shared()
batch = Batch.static_per_cpu()


def drain_here(call: CallSingle) -> Program[None]:
    """Pass on what this CPU has counted; it runs in an interrupt."""
    count = yield this_cpu_xchg(batch.count, 0)
    yield atomic_long_add(shared.total, count)
    yield from csd_unlock(call)


def call_and_wait(cpu: int) -> Program[None]:
    """Have a CPU drain its batch, and wait for that."""
    yield from csd_lock(shared.calls[cpu])
    yield irq_work_queue_on(drain_here, shared.calls[cpu], cpu)
    yield from csd_lock_wait(shared.calls[cpu])


# --- each calls the other


def hasty_call(cpu: int) -> Program[None]:
    """Drain the other CPU, with interrupts off."""
    flags = yield local_irq_save()
    yield from call_and_wait(cpu)  # wrong: the other CPU may wait for this one in the same way
    yield local_irq_restore(flags)


@scenario(
    cpus=2,
    expect="deadlock",
    missing="interrupts that are on while a CPU waits for another one",
)
def smp_call_interrupts_off(m: Contexts) -> None:
    """Two CPUs call a function on each other with interrupts off, and both wait for ever.

    A call is an interrupt of the other CPU. While that one has its interrupts off, and waits for a call of its own, it
    answers none. The kernel warns of every such wait with interrupts off.

    The fixed version keeps interrupts on.
    """
    m.task(hasty_call, 1, cpu=0)
    m.task(hasty_call, 0, cpu=1)


@scenario(cpus=2)
def smp_call_interrupts_off_fixed(m: Contexts) -> None:
    """Two CPUs call a function on each other with interrupts on.

    Each answers the other one while it waits.
    """
    m.task(call_and_wait, 1, cpu=0)
    m.task(call_and_wait, 0, cpu=1)


# --- the lock that the other CPU wants


def update() -> Program[None]:
    """Change what the lock protects; interrupts take it, too."""
    flags = yield from spin_lock_irqsave(shared.lock)
    yield from spin_unlock_irqrestore(shared.lock, flags)


def hasty_drain() -> Program[None]:
    """Have CPU 1 drain its batch under the lock."""
    yield from spin_lock(shared.lock)
    yield from call_and_wait(1)  # wrong: CPU 1 may spin for the lock with interrupts off
    yield from spin_unlock(shared.lock)


@scenario(
    cpus=2,
    expect="deadlock",
    missing="letting go of the lock before the wait",
)
def smp_call_under_lock(m: Contexts) -> None:
    """A CPU waits for a call, and holds the lock that the other CPU spins for with interrupts off.

    The other CPU comes to the call when it has interrupts on again; that is after it has had the lock.

    The fixed version lets go of the lock first.
    """
    m.task(hasty_drain, cpu=0, name="drain")
    m.task(update, cpu=1)


def drain() -> Program[None]:
    """Have CPU 1 drain its batch."""
    yield from spin_lock(shared.lock)
    yield from spin_unlock(shared.lock)
    yield from call_and_wait(1)


@scenario(cpus=2)
def smp_call_under_lock_fixed(m: Contexts) -> None:
    """A CPU waits for a call and holds no lock.

    The other one gets the lock, and comes to the call behind it.
    """
    m.task(drain, cpu=0)
    m.task(update, cpu=1)


# --- the batches of all CPUs


def count() -> Program[None]:
    """Count one, on this CPU."""
    with counted(shared.total, 1):
        yield this_cpu_add(batch.count, 1)


def drain_all() -> Program[None]:
    """Drain each CPU on that CPU, and wait for all: on_each_cpu()."""
    for cpu in range(NR_CPUS):
        yield from csd_lock(shared.calls[cpu])
        yield irq_work_queue_on(drain_here, shared.calls[cpu], cpu)
    for cpu in range(NR_CPUS):
        yield from csd_lock_wait(shared.calls[cpu])


def hasty_drain_all() -> Program[None]:
    """Drain each CPU from here."""
    for cpu in range(NR_CPUS):
        count = yield read_once(per_cpu(batch.count, cpu))
        yield atomic_long_add(per_cpu(batch.count, cpu), -count)  # wrong: the CPU may be in the middle of an addition
        yield atomic_long_add(shared.total, count)


def total(address: int) -> Program[int]:
    """The sum with what CPUs have not passed on."""
    x = yield read_once(address)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(batch.count, cpu))
    return x


@scenario(
    cpus=2,
    total=total,
    expect="doubled-count",
    missing="draining a batch on its own CPU",
)
def smp_call_drained_from_afar(m: Contexts) -> None:
    """A CPU drains the batches of all others itself, in the middle of their additions.

    An addition to a CPU's own batch is one instruction for that CPU, and a load and a store for all others. What
    another CPU subtracts in between comes back with the store, and is counted twice.

    The fixed version has each CPU drain its own.
    """
    m.task(count, cpu=1, turns=2)
    m.task(hasty_drain_all, cpu=0, name="drain all")


@scenario(cpus=2, total=total)
def smp_call_drained_from_afar_fixed(m: Contexts) -> None:
    """Each CPU drains its own batch, in an interrupt.

    The interrupt comes before an addition or behind it.
    """
    m.task(count, cpu=1, turns=2)
    m.task(drain_all, cpu=0)
