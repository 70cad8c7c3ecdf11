"""cpu_hotplug_lock of kernel/cpu.c, as programs: readers keep CPUs from going on or off line."""

from __future__ import annotations

from percpu_emu.kernel.layout import CPU_HOTPLUG_LOCK, CPU_HOTPLUG_READERS
from percpu_emu.kernel.percpu_rwsem import (
    PercpuRwSemaphore,
    ReadCount,
    percpu_down_read,
    percpu_down_write,
    percpu_up_read,
    percpu_up_write,
)
from percpu_emu.lang.ops import Program

cpu_hotplug_lock = PercpuRwSemaphore.at(CPU_HOTPLUG_LOCK)
cpu_hotplug_readers = ReadCount.at(CPU_HOTPLUG_READERS)


def cpus_read_lock() -> Program[None]:
    """Keep CPUs from going on or off line; sleep while one does."""
    yield from percpu_down_read(cpu_hotplug_lock, cpu_hotplug_readers)


def cpus_read_unlock() -> Program[None]:
    """Undo one `cpus_read_lock`."""
    yield from percpu_up_read(cpu_hotplug_lock, cpu_hotplug_readers)


def cpus_write_lock() -> Program[None]:
    """Wait for those that keep CPUs from going on or off line, and keep others out."""
    yield from percpu_down_write(cpu_hotplug_lock, cpu_hotplug_readers)


def cpus_write_unlock() -> Program[None]:
    """Undo `cpus_write_lock`."""
    yield from percpu_up_write(cpu_hotplug_lock)
