"""rcu_barrier meets a CPU that dies: callbacks move on if there are any, tested without the lock or with it.

kernel/rcu/tree.c; 55d4669ef1b7 of 6.11.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import SpinLock, spin_lock, spin_unlock
from percpu_emu.lang.ops import Program, cpu_relax, read_once, wait_until, write_once
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class DyingCpu(Struct):
    """The callbacks of a CPU that dies, one of which may be the barrier's, and whether that was called."""

    online: Word
    nr_callbacks: Word
    has_barrier: Word
    barrier_called: Word
    barrier_lock: SpinLock


cpu = DyingCpu()


def setup() -> Program[None]:
    """The CPU is online and has a callback."""
    yield write_once(cpu.online, 1)
    yield write_once(cpu.nr_callbacks, 1)


def run_callbacks_and_go() -> Program[None]:
    """The last thing that the CPU does."""
    yield write_once(cpu.nr_callbacks, 0)
    yield write_once(cpu.online, 0)


def call_elsewhere() -> Program[None]:
    """Another CPU calls what is left; the caller holds the lock."""
    yield write_once(cpu.nr_callbacks, 0)
    if (yield read_once(cpu.has_barrier)):
        yield write_once(cpu.barrier_called, 1)


def barrier() -> Program[None]:
    """Wait until the callbacks of the CPU have run."""
    again = 1
    while again:
        yield from spin_lock(cpu.barrier_lock)
        again = yield from queue_if_offline()
        yield from spin_unlock(cpu.barrier_lock)
        yield cpu_relax()
    if (yield read_once(cpu.has_barrier)):
        yield wait_until(cpu.barrier_called, 1)


def queue_if_offline() -> Program[int]:
    """Put a callback behind those of a CPU that is offline. Gives 1 while it is online: the kernel interrupts it."""
    callbacks = yield read_once(cpu.nr_callbacks)
    if not callbacks:
        return 0
    if (yield read_once(cpu.online)):
        return 1
    yield write_once(cpu.has_barrier, 1)
    yield write_once(cpu.nr_callbacks, callbacks + 1)
    return 0


def hasty_migrate() -> Program[None]:
    """The CPU dies; what is left on its list moves on."""
    yield from run_callbacks_and_go()
    if (yield read_once(cpu.nr_callbacks)):  # wrong: the barrier may be about to queue its own
        yield from spin_lock(cpu.barrier_lock)
        yield from call_elsewhere()
        yield from spin_unlock(cpu.barrier_lock)


@scenario(
    cpus=2,
    setup=setup,
    expect="deadlock",
    missing="taking the lock before the list is tested",
)
def barrier_dying_cpu(m: Contexts) -> None:
    """rcu_barrier puts its callback on the list of a dead CPU, which no other CPU looks at any more.

    rcu_barrier looks under its lock whether a CPU has callbacks, and whether it is online. A dying CPU runs its last
    callbacks, goes offline, and moves what is left; but it tests the list without the lock, and leaves. If it does so
    between the two looks, rcu_barrier queues behind callbacks that are gone, on a list that is not looked at again (B2;
    55d4669ef1b7).

    The fixed version takes the lock, then tests.
    """
    m.task(hasty_migrate, cpu=1, name="dying CPU")
    m.task(barrier, cpu=0)


def migrate() -> Program[None]:
    """The CPU dies; what is left on its list moves on."""
    yield from run_callbacks_and_go()
    yield from spin_lock(cpu.barrier_lock)
    if (yield read_once(cpu.nr_callbacks)):
        yield from call_elsewhere()
    yield from spin_unlock(cpu.barrier_lock)


@scenario(cpus=2, setup=setup)
def barrier_dying_cpu_fixed(m: Contexts) -> None:
    """A dying CPU tests its list under the lock of rcu_barrier.

    Either rcu_barrier finds no callbacks any more, or the dying CPU finds the one that rcu_barrier queued.
    """
    m.task(migrate, cpu=1, name="dying CPU")
    m.task(barrier, cpu=0)
