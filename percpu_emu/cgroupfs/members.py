"""Which process is in which cgroup: joined by hand, or inherited from its parent as fork does.

The file system sees a process first when it makes a call, or when the processes are listed. Who its parent was stands
in /proc; and before a process moves, those that it has forked are looked up, so that they stay where it was.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_emu.cgroupfs.hierarchy import Group

_STATE, _PPID = 0, 1
_PRUNE_AT: Final = 512


def stat_of(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - twice as fast
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


class Members:
    """The processes of all cgroups. Those of `kernel` are the machine's own, and in none."""

    def __init__(self, root: Group, kernel: Iterable[int] = ()) -> None:
        self._root = root
        self._homes: dict[int, Group] = {}
        self._joined = False
        self.kernel = set(kernel)

    def home(self, pid: int) -> Group:
        """The cgroup of a process; the root's are those of whom nothing else is known."""
        known = self._homes.get(pid)
        return known if known is not None else self._inherit(pid)

    def _inherit(self, pid: int) -> Group:
        line = []
        group: Group | None = None
        while group is None and pid > 0 and pid not in self.kernel:
            line.append(pid)
            fields = stat_of(pid)
            if fields is None:
                break
            pid = int(fields[_PPID])
            group = self._homes.get(pid)
        found = group or self._root
        for descendant in line:
            self._homes[descendant] = found
        if len(self._homes) > _PRUNE_AT:
            self._prune()
        return found

    def _prune(self) -> None:
        self._homes = {pid: group for pid, group in self._homes.items() if os.path.exists(f"/proc/{pid}")}  # noqa: PTH110

    def move(self, pid: int, group: Group) -> None:
        """Put a process into a cgroup. Raises ESRCH where there is none, EINVAL for one of the machine's own."""
        if pid in self.kernel:
            raise refusal(errno.EINVAL)
        fields = stat_of(pid)
        if fields is None or fields[_STATE] in "ZX":
            raise refusal(errno.ESRCH)
        self._look_up_all()
        group.had_members = self._joined = True
        self._homes[pid] = group

    def watch(self) -> None:
        """Note the processes that have come, while their parents live. Before one was moved, all are of the root."""
        if self._joined:
            self._look_up_all()

    def _look_up_all(self) -> list[int]:
        """Every process that there is."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - names, not paths
        for pid in pids:
            if pid not in self._homes and pid not in self.kernel:
                self._inherit(pid)
        return pids

    def of(self, group: Group) -> list[int]:
        """The live processes in a cgroup itself, in order."""
        if group.parent is not None and not group.had_members:
            return []
        there = [pid for pid in self._look_up_all() if self._homes.get(pid) is group]
        return sorted(pid for pid in there if (fields := stat_of(pid)) is not None and fields[_STATE] not in "ZX")

    def populated(self, group: Group) -> bool:
        """Whether a process lives in the cgroup or below it."""
        return bool(self.of(group)) or any(self.populated(child) for child in group.children.values())
