"""What CPUs have is walked over while CPUs come and go: without the lock of CPU hotplug, or with it."""

from __future__ import annotations

from percpu_emu.kernel.cpus_lock import cpus_read_lock, cpus_read_unlock
from percpu_emu.kernel.hotplug import cpuhp_setup_states, prepare
from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.kernel.locks import Mutex, mutex_lock, mutex_unlock
from percpu_emu.lang.ops import Program, cpumask_next, kfree, kzalloc, nr_cpu_ids, per_cpu, read_once, write_once
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2


class Buffer(Struct):
    """What is flushed."""

    value: Word


class Buffers(Struct):
    """On every CPU, while it is on line: its buffer."""

    buffer: Ptr[Buffer]


buffers = Buffers.static_per_cpu()
flush_lock = Mutex()


def alloc_buffer(cpu: int) -> Program[None]:
    """A startup."""
    buffer = yield kzalloc(sizeof(Buffer))
    yield write_once(per_cpu(buffers.buffer, cpu), buffer)


def free_buffer(cpu: int) -> Program[None]:
    """A teardown: the CPU is off line."""
    yield kfree((yield read_once(per_cpu(buffers.buffer, cpu))))


def free_buffer_locked(cpu: int) -> Program[None]:
    """The same between two flushes."""
    yield from mutex_lock(flush_lock)
    yield from free_buffer(cpu)
    yield from mutex_unlock(flush_lock)


cpu_up, cpu_down, _ = cpuhp_setup_states(prepare("buffers", alloc_buffer, free_buffer))
locked_up, locked_down, _ = cpuhp_setup_states(prepare("buffers", alloc_buffer, free_buffer_locked))


def setup() -> Program[None]:
    """Every CPU has a buffer."""
    for cpu in range(NR_CPUS):
        yield from alloc_buffer(cpu)


def flush_online() -> Program[None]:
    """Flush the buffer of every CPU that is on line."""
    nr_cpus = yield nr_cpu_ids()
    cpu = yield cpumask_next(-1, CPU_ONLINE_MASK)
    while cpu < nr_cpus:
        buffer: Buffer = yield read_once(per_cpu(buffers.buffer, cpu))
        yield write_once(buffer.value, 0)  # wrong without the lock: the CPU may be off line by now
        cpu = yield cpumask_next(cpu, CPU_ONLINE_MASK)


@scenario(
    cpus=2,
    setup=setup,
    left=1,
    expect="use-after-free",
    missing="cpus_read_lock around the loop over the CPUs that are on line",
)
def online_cpus_unlocked(m: Contexts) -> None:
    """A loop over the CPUs that are on line comes to a CPU that goes, and uses what its teardown frees.

    for_each_online_cpu reads the mask for each step. It does not keep a CPU that it has found on line.

    The fixed version, online-cpus-locked, holds cpus_read_lock, for which cpu_down waits.
    """
    m.task(flush_online, cpu=0)
    m.task(cpu_down, 1, cpu=0)


def flush() -> Program[None]:
    """Flush, with CPUs kept from coming and going, one flush at a time."""
    yield from cpus_read_lock()
    yield from mutex_lock(flush_lock)
    yield from flush_online()
    yield from mutex_unlock(flush_lock)
    yield from cpus_read_unlock()


def flush_mutex_first() -> Program[None]:
    """The same, the other way round."""
    yield from mutex_lock(flush_lock)
    yield from cpus_read_lock()  # wrong: cpu_down may be in, and its teardown wait for the mutex
    yield from flush_online()
    yield from cpus_read_unlock()
    yield from mutex_unlock(flush_lock)


@scenario(cpus=2, setup=setup, left=1, expect="deadlock", missing="cpus_read_lock before the mutex, as in cpu_down")
def online_cpus_mutex_first(m: Contexts) -> None:
    """A task holds a mutex and waits for cpus_read_lock; cpu_down is in, and a teardown waits for the mutex.

    The teardowns run under the lock of CPU hotplug. So whatever lock they take comes behind it, everywhere.

    The fixed version, online-cpus-locked, takes cpus_read_lock first.
    """
    m.task(flush_mutex_first, cpu=0)
    m.task(locked_down, 1, cpu=0, name="cpu_down")


@scenario(cpus=2, setup=setup, left=1)
def online_cpus_locked(m: Contexts) -> None:
    """A loop over the CPUs that are on line keeps them on line, and takes its mutex behind cpus_read_lock.

    cpu_down waits until the loop has ended, or the loop finds the CPU gone from the mask.
    """
    m.task(flush, cpu=0)
    m.task(locked_down, 1, cpu=0, name="cpu_down")
