"""The machine behind the files: which CPU does what a process asks for, and what is due meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, TypeVar

from percpu_emu.kernel import css, original, release
from percpu_emu.kernel.charge import charge_pages, uncharge_page, uncharge_pages
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.machine import Cgroup, CgroupTree, CpuDied, Event, Machine, Pin
from percpu_emu.machine.plain import PlainCgroups
from percpu_emu.shm.awake import AwakeClock

CATCH_UP_SECONDS: Final = 1.0
MOST_BEHIND: Final = 4
"""Removed cgroups that may wait for their release while another one is made: so few leave no mark on Percpu."""
COMPILED: Final[tuple[ProgramFunction, ...]] = (
    *(charge_pages, uncharge_pages, uncharge_page),
    *(css.mem_cgroup_alloc, css.css_init, css.online_css, css.kill_css, css.css_killed_work_fn, css.css_put_remote),
    *(css.css_release_work_fn, css.css_free_rwork_fn, original.css_free, release.css_free, release.css_offline),
)
"""Programs that a machine of files runs thousands of times."""
Busy: TypeAlias = "Callable[[Iterable[int]], None]"
"""Sets workers to work on these CPUs, that update the youngest cgroups."""
_Answer = TypeVar("_Answer")


class RunningMachine:
    """A machine and its cgroups, as the file system uses them."""

    def __init__(self, machine: Machine, tree: CgroupTree, boot_slab_kb: int, busy: Busy | None = None) -> None:
        self.machine = machine
        self.tree = tree
        self.plain = PlainCgroups(machine)
        self._boot_slab_kb = boot_slab_kb
        self._slab_base = machine.memory.slab.slab_kb
        self._busy = busy
        self._killed: list[int] = []
        self.behind = 0
        """Cgroups that were removed since the machine was last seen without anything to do."""
        machine.events.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if event.kind == "cpu_died":
            self._killed.append(event.fields["cpu"])

    # --- time

    def catch_up(self) -> None:
        """Before a cgroup is made: let the releases happen that are due, if more than a few are, for a second at most.

        Between two commands of a shell a grace period passes. Here it does so on a busy computer, too, so that a
        script has the same figures each time: a slow grace period would have Percpu grow for good, as in the kernel.
        A CPU that is held up by a fault is not waited for.
        """
        if self.machine.settled:
            self.behind = 0
        elif self.behind > MOST_BEHIND:
            awake = AwakeClock()
            self.machine.wait_for(lambda: self.machine.settled or awake() > CATCH_UP_SECONDS)
            self.behind = 0

    def attend(self) -> None:
        """Do what is due, and bring up again the CPUs that a fault has killed."""
        self.machine.poll()
        killed, self._killed = self._killed, []
        for cpu in killed:
            self.machine.online_cpu(cpu)
        if killed and self._busy:
            self._busy(killed)

    @property
    def own_processes(self) -> set[int]:
        """Those of its CPUs."""
        return {self.machine.cpus.pid(cpu) for cpu in self.machine.cpus.online}

    def make(self, path: str) -> Cgroup:
        """Make a cgroup; where CPUs are busy, they begin to update it. Raises CgroupError, NoMemory."""
        cgroup = self.tree.mkdir(path)
        if self._busy:
            self.tree.table.add(cgroup)
        return cgroup

    # --- pages

    def charge(self, cgroup: Cgroup, pages: int, pid: int) -> list[Pin]:
        """Have the CPU of a process charge pages of page cache. Raises NoMemory."""
        tree, user = self.tree, "a file in tmp"
        return self._on_the_cpu_of(pid, lambda cpu: tree.charge_pages(cgroup, cpu, pages, user))

    def uncharge(self, pins: Sequence[Pin], pid: int) -> None:
        """Have it let go of some."""
        self._on_the_cpu_of(pid, lambda cpu: self.tree.uncharge_pages(pins, cpu))

    def _on_the_cpu_of(self, pid: int, do: Callable[[int], _Answer]) -> _Answer:
        """A process runs on one CPU, by its number; on another where that is down, or dies before it begins."""
        while True:
            if not self.machine.cpus.online:
                self.attend()
            online = self.machine.cpus.online
            if not online:
                raise CpuDied("no CPU is left online")
            try:
                return do(online[pid % len(online)])
            except CpuDied:
                if not self.machine.config.may_kill:  # a fault strikes workers only, never what a CPU is told to do
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
