"""The whole file system, without a mount: `cgroup/`, `proc/` and `tmp/` under one top."""

from __future__ import annotations

import errno
import itertools
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.branch import Attributes, Branch, Path
from percpu_emu.cgroupfs.cgroup_branch import CgroupBranch
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.cgroupfs.proc_branch import ProcBranch
from percpu_emu.cgroupfs.tmp_branch import TmpBranch

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.branch import Handle
    from percpu_emu.cgroupfs.system import System

_TOP_INODE: Final = 1
_PROC_INODE: Final = 2


class Top(Branch):
    """The directory that holds the branches; nothing can be made in it."""

    def __init__(self, branches: dict[str, Branch]) -> None:
        self._branches = branches

    def attributes(self, path: Path) -> Attributes:
        if path:
            if path[0] not in self._branches:
                raise refusal(errno.ENOENT)
            return self._branches[path[0]].attributes(path[1:])
        return Attributes(stat.S_IFDIR | 0o755, _TOP_INODE, links=2 + len(self._branches))

    def names(self, path: Path) -> Iterable[str]:
        if path:
            raise refusal(errno.ENOENT)
        return list(self._branches)


class FileSystem:
    """Finds the branch of a path, and keeps open files by number."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._branches: dict[str, Branch] = {
            "cgroup": CgroupBranch(system),
            "proc": ProcBranch(system, _PROC_INODE),
            "tmp": TmpBranch(system),
        }
        self._top = Top(self._branches)
        self._handles: dict[int, Handle] = {}
        self._directories: dict[int, str] = {}
        self._numbers = itertools.count(1)

    def route(self, path: str) -> tuple[Branch, Path]:
        """The branch that a path lies in, and the names below its top."""
        first, *rest = [name for name in path.split("/") if name] or [""]
        branch = self._branches.get(first)
        return (branch, rest) if branch else (self._top, [first] if first else [])

    def both(self, old: str, new: str) -> tuple[Branch, Path, Path]:
        """Two paths of one branch. Raises EXDEV for two branches."""
        branch, source = self.route(old)
        other, target = self.route(new)
        if branch is not other:
            raise refusal(errno.EXDEV)
        return branch, source, target

    def keep(self, handle: Handle) -> int:
        """Note an open file; its number."""
        number = next(self._numbers)
        self._handles[number] = handle
        return number

    def handle(self, number: int) -> Handle:
        """The open file of a number."""
        return self._handles[number]

    def forget(self, number: int) -> Handle:
        """It is closed."""
        return self._handles.pop(number)

    def keep_directory(self, path: str) -> int:
        """Note an open directory; its number."""
        number = next(self._numbers)
        self._directories[number] = path
        return number

    def directory(self, number: int) -> str:
        """The path of an open directory."""
        return self._directories[number]

    def forget_directory(self, number: int) -> None:
        """It is closed."""
        del self._directories[number]
