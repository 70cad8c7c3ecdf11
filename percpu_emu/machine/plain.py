"""Cgroups without the memory controller: no counters, only what a cgroup has whatever its controllers are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from percpu_emu.kernel.profile import SlabObject

if TYPE_CHECKING:
    from percpu_emu.kernel.profile import PercpuArea
    from percpu_emu.machine.machine import Machine


@dataclass(eq=False)
class PlainCgroup:
    """What one holds: per-CPU pointers and slab offsets."""

    percpu: list[int] = field(default_factory=list)
    slab: list[int] = field(default_factory=list)


class PlainCgroups:
    """Makes them, and frees them as the kernel does: grace periods after rmdir."""

    def __init__(self, machine: Machine) -> None:
        profile = machine.config.profile
        lines: tuple[SlabObject | PercpuArea, ...] = (*profile.slab_object, *profile.percpu_area)
        self._machine = machine
        self._lines = [line for line in lines for _ in range(line.of_cgroup)]

    def make(self) -> PlainCgroup:
        """Allocate one. Raises MemoryError; then nothing stays."""
        memory, made = self._machine.memory, PlainCgroup()
        with ExitStack() as undo:
            for line in self._lines:
                if isinstance(line, SlabObject):
                    made.slab.append(memory.slab.alloc(line.size, line.align, line.cache))
                    undo.callback(memory.slab.kfree, made.slab[-1])
                else:
                    made.percpu.append(memory.percpu.alloc(line.size, line.align))
                    undo.callback(memory.percpu.free, made.percpu[-1])
            undo.pop_all()
        return made

    def remove(self, plain: PlainCgroup, released: Callable[[], None]) -> None:
        """Two grace periods: its count is switched to atomic, and `released` is called; then it is freed."""

        def killed() -> None:
            released()
            self._machine.rcu.call(lambda: self.free(plain))

        self._machine.rcu.call(killed)

    def free(self, plain: PlainCgroup) -> None:
        """Free it at once: nothing refers to it."""
        for offset in plain.slab:
            self._machine.memory.slab.kfree(offset)
        for pointer in plain.percpu:
            self._machine.memory.percpu.free(pointer)
