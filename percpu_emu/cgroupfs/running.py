"""The machine behind the files: which CPU does what a process asks for, and what is due meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from percpu_emu.machine import Cgroup, CgroupTree, CpuDied, Event, Machine, Pin
from percpu_emu.machine.plain import PlainCgroups
from percpu_emu.shm.awake import AwakeClock

CATCH_UP_SECONDS: Final = 1.0
_Answer = TypeVar("_Answer")


class RunningMachine:
    """A machine and its cgroups, as the file system uses them."""

    def __init__(self, machine: Machine, tree: CgroupTree, boot_slab_kb: int, *, revive: bool = True) -> None:
        self.machine = machine
        self.tree = tree
        self.plain = PlainCgroups(machine)
        self._boot_slab_kb = boot_slab_kb
        self._slab_base = machine.memory.slab.slab_kb
        self._revive = revive
        self._killed: list[int] = []
        machine.events.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if event.kind == "cpu_died":
            self._killed.append(event.fields["cpu"])

    # --- time

    def catch_up(self) -> None:
        """Let grace periods end that are due, for a second at most.

        Between two commands of a shell a grace period passes. Here it does so on a busy computer, too, so that a
        script has the same figures each time; a CPU that is held up by a fault is not waited for.
        """
        awake = AwakeClock()
        self.machine.wait_for(lambda: self.machine.settled or awake() > CATCH_UP_SECONDS)

    def attend(self) -> None:
        """Do what is due, and bring up again the CPUs that a fault has killed."""
        self.machine.poll()
        if self._revive and self._killed:
            killed, self._killed = self._killed, []
            for cpu in killed:
                self.machine.online_cpu(cpu)

    @property
    def own_processes(self) -> set[int]:
        """Those of its CPUs."""
        return {self.machine.cpus.pid(cpu) for cpu in self.machine.cpus.online}

    # --- pages

    def charge(self, cgroup: Cgroup, pid: int) -> Pin:
        """Have the CPU of a process charge a page of page cache. Raises NoMemory."""
        return self._on_the_cpu_of(pid, lambda cpu: self.tree.charge(cgroup, "page-cache", cpu, "a file in tmp"))

    def uncharge(self, pin: Pin, pid: int) -> None:
        """Have it let go of one."""
        self._on_the_cpu_of(pid, lambda cpu: self.tree.uncharge(pin, cpu))

    def _on_the_cpu_of(self, pid: int, do: Callable[[int], _Answer]) -> _Answer:
        """A process runs on one CPU, by its number; where that is down, or dies by a fault, on another."""
        while True:
            online = self.machine.cpus.online
            if not online:
                self.attend()
                online = self.machine.cpus.online
            if not online:
                raise CpuDied("no CPU is left online")
            try:
                return do(online[pid % len(online)])
            except CpuDied:
                if not self.machine.config.may_kill:
                    raise

    # --- what it costs

    @property
    def percpu_kb(self) -> int:
        """Percpu of /proc/meminfo."""
        return self.machine.memory.percpu.percpu_kb

    @property
    def slab_kb(self) -> int:
        """Slab of /proc/meminfo."""
        return self._boot_slab_kb + self.machine.memory.slab.slab_kb - self._slab_base
