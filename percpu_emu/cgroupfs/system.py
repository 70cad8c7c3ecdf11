"""The emulated system: machine, cgroups, charges, processes. What the files are read from and write to."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from percpu_emu.cgroupfs.hierarchy import Group, Hierarchy
from percpu_emu.cgroupfs.members import Members
from percpu_emu.cgroupfs.memory import Charges, MemoryState
from percpu_emu.cgroupfs.running import RunningMachine

if TYPE_CHECKING:
    from percpu_emu.machine import MachineMemory


class System:
    """One machine with everything around it."""

    def __init__(self, running: RunningMachine) -> None:
        self.running = running
        self.tmp_bytes = 0
        """What the files of `tmp/` hold together."""
        self.shim = b""
        """The preload library, where the command has one."""
        self.charges = Charges(running)
        self.charges.kill = self._kill
        self.hierarchy = Hierarchy(self.charges, running.plain, lambda group: bool(self.members.of(group)))
        self.members = Members(self.hierarchy.root, {os.getpid(), *running.own_processes})

    @property
    def memory(self) -> MachineMemory:
        """The machine's memory."""
        return self.running.machine.memory

    @property
    def cgroups(self) -> int:
        """How many there are, with the root and those that are dying."""
        return 1 + self.hierarchy.root.nr_descendants + self.hierarchy.root.nr_dying_descendants

    @staticmethod
    def is_frozen(group: Group) -> bool:
        """Whether a cgroup is frozen, itself or by an ancestor."""
        return group.frozen or any(above.frozen for above in group.ancestors())

    def attend(self) -> None:
        """Do what is due on the machine; a CPU that has come up again has a new process."""
        self.running.attend()
        self.members.kernel |= self.running.own_processes
        self.members.watch()

    def kill_all(self, group: Group) -> None:
        """SIGKILL to every process of a cgroup and of those below."""
        for below in group.below():
            for pid in self.members.of(below):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _kill(self, memory: MemoryState, pid: int) -> None:
        """Out of memory: end the process that asked, or its whole cgroup where memory.oom.group says so."""
        group = next((one for one in self.hierarchy.root.below() if one.memory is memory), None)
        if memory.oom_group and group is not None:
            self.kill_all(group)
        elif pid > 0 and pid not in self.members.kernel:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
