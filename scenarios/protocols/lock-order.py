"""Locks in opposite orders, and a lock that an interrupt takes: bugs that no schedule of these settings runs into.

kernel/cgroup/cgroup.c, 4f7e7236435c of 2022; mm/percpu.c, whose pcpu_lock free_percpu takes in any context. Lockdep
reports such orders in a kernel that has not hung yet.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import (
    Mutex,
    SpinLock,
    mutex_lock,
    mutex_unlock,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
)
from percpu_emu.lang.ops import Program, read_once, wait_until, write_once
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Shared(Struct):
    """The locks, and what they protect."""

    cpus_lock: Mutex
    threadgroup_rwsem: Mutex
    booted: Word
    pcpu_lock: SpinLock
    free_bytes: Word


shared = Shared()


def take_cpu_down() -> Program[None]:
    """CPU hotplug: the tasks of cpusets that are empty now move to others. It is done before user space begins."""
    yield from mutex_lock(shared.cpus_lock)
    yield from mutex_lock(shared.threadgroup_rwsem)
    yield from mutex_unlock(shared.threadgroup_rwsem)
    yield from mutex_unlock(shared.cpus_lock)
    yield write_once(shared.booted, 1)


def attach_in_its_own_order() -> Program[None]:
    """Move a process to another cgroup; the cpuset controller keeps CPUs from coming and going meanwhile."""
    yield wait_until(shared.booted, 1)
    yield from mutex_lock(shared.threadgroup_rwsem)
    yield from mutex_lock(shared.cpus_lock)  # wrong: CPU hotplug takes the other one first
    yield from mutex_unlock(shared.cpus_lock)
    yield from mutex_unlock(shared.threadgroup_rwsem)


def attach() -> Program[None]:
    """The same in the order of CPU hotplug."""
    yield wait_until(shared.booted, 1)
    yield from mutex_lock(shared.cpus_lock)
    yield from mutex_lock(shared.threadgroup_rwsem)
    yield from mutex_unlock(shared.threadgroup_rwsem)
    yield from mutex_unlock(shared.cpus_lock)


@scenario(cpus=2, expect="circular-wait", missing="one order of the two locks, for all")
def attach_against_hotplug(m: Contexts) -> None:
    """Moving a process takes two locks in the order opposite to that of CPU hotplug.

    Here the CPU goes down before the first process is moved, so neither ever waits for the other. On a machine on
    which CPUs come and go later, both wait for ever (4f7e7236435c of 2022). The orders are seen one after the other.
    """
    m.task(take_cpu_down, cpu=0, name="hotplug")
    m.task(attach_in_its_own_order, cpu=1, name="attach")


@scenario(cpus=2)
def attach_against_hotplug_fixed(m: Contexts) -> None:
    """Moving a process takes the lock of CPU hotplug first.

    All take the two locks in one order, so none that has the second waits for the first.
    """
    m.task(take_cpu_down, cpu=0, name="hotplug")
    m.task(attach, cpu=1, name="attach")


def allocate_with_interrupts_on() -> Program[None]:
    """Take bytes from the area."""
    yield from spin_lock(shared.pcpu_lock)  # wrong: an interrupt of this CPU that frees would spin for ever
    free = yield read_once(shared.free_bytes)
    yield write_once(shared.free_bytes, free - 8)
    yield from spin_unlock(shared.pcpu_lock)


def allocate() -> Program[None]:
    """The same with interrupts off."""
    flags = yield from spin_lock_irqsave(shared.pcpu_lock)
    free = yield read_once(shared.free_bytes)
    yield write_once(shared.free_bytes, free - 8)
    yield from spin_unlock_irqrestore(shared.pcpu_lock, flags)


def free_in_interrupt() -> Program[None]:
    """Give bytes back to the area."""
    yield from spin_lock(shared.pcpu_lock)
    free = yield read_once(shared.free_bytes)
    yield write_once(shared.free_bytes, free + 8)
    yield from spin_unlock(shared.pcpu_lock)


@scenario(cpus=2, expect="circular-wait", missing="turning interrupts off while the lock is held")
def percpu_lock_interrupts_on(m: Contexts) -> None:
    """The allocator holds its lock with interrupts on, and interrupts free per-CPU memory.

    Here the interrupt comes on another CPU, spins for a moment and goes on. On the CPU of the holder it would spin for
    ever: the holder cannot go on before the interrupt has ended.
    """
    m.task(allocate_with_interrupts_on, cpu=0, name="allocate")
    m.interrupt(free_in_interrupt, cpu=1, name="free")


@scenario(cpus=2)
def percpu_lock_interrupts_on_fixed(m: Contexts) -> None:
    """The allocator holds its lock with interrupts off.

    No interrupt of its CPU comes while it is held; one of another CPU spins until it is let go.
    """
    m.task(allocate, cpu=0, name="allocate")
    m.interrupt(free_in_interrupt, cpu=1, name="free")
