"""`cgroup/`: directories that are cgroups, and their control files."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.branch import Attributes, Branch, Caller, Handle, Path
from percpu_emu.cgroupfs.control_files import ControlFile
from percpu_emu.cgroupfs.core_files import CORE_FILES
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.cgroupfs.hidden import PREFIX, hidden_file
from percpu_emu.cgroupfs.memory_files import MEMORY_FILES

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.hierarchy import Group
    from percpu_emu.cgroupfs.system import System

FILES: Final = CORE_FILES | MEMORY_FILES
_INODE: Final = {name: number for number, name in enumerate(FILES, 1)}
_PER_GROUP: Final = 64
"""Inode numbers of a cgroup: its own, and those of its files."""


class CgroupBranch(Branch):
    """The tree of a system."""

    def __init__(self, system: System) -> None:
        self._system = system

    def attributes(self, path: Path) -> Attributes:
        if hidden := self._hidden(path):
            return hidden.attributes()
        group, name = self._find(path)
        if not name:
            links = 2 + len(group.children)
            return Attributes(stat.S_IFDIR | group.mode, group.inode * _PER_GROUP, group.uid, group.gid, links=links)
        return _file_attributes(group, name)

    def _hidden(self, path: Path) -> Handle | None:
        return hidden_file(self._system, path[0]) if len(path) == 1 and path[0].startswith(PREFIX) else None

    def _find(self, path: Path) -> tuple[Group, str]:
        """A cgroup and "", or a cgroup and the name of a file that it has. Raises ENOENT, ENOTDIR."""
        group = self._system.hierarchy.root
        for number, name in enumerate(path):
            if child := group.children.get(name):
                group = child
            elif name not in FILES or not FILES[name].belongs_to(group):
                raise refusal(errno.ENOENT)
            elif number != len(path) - 1:
                raise refusal(errno.ENOTDIR)
            else:
                return group, name
        return group, ""

    def _parent(self, path: Path) -> Group:
        group, name = self._find(path[:-1])
        if name:
            raise refusal(errno.ENOTDIR)
        return group

    def names(self, path: Path) -> Iterable[str]:
        group, name = self._find(path)
        if name:
            raise refusal(errno.ENOTDIR)
        return [*(name for name, file in FILES.items() if file.belongs_to(group)), *group.children]

    def open(self, path: Path, flags: int, caller: Caller) -> Handle:  # noqa: ARG002 - the host's kernel looks at flags
        if hidden := self._hidden(path):
            return hidden
        group, name = self._find(path)
        if not name:
            raise refusal(errno.EISDIR)
        return ControlHandle(self._system, group, name, caller)

    def mkdir(self, path: Path, mode: int, caller: Caller) -> None:
        parent = self._parent(path)
        if path[-1] in FILES and FILES[path[-1]].belongs_to(parent):
            raise refusal(errno.EEXIST)
        self._system.running.catch_up()
        group = self._system.hierarchy.mkdir(parent, path[-1])
        group.mode, group.uid, group.gid = mode & 0o7777, caller.uid, caller.gid

    def rmdir(self, path: Path, caller: Caller) -> None:  # noqa: ARG002
        group, name = self._find(path)
        if name:
            raise refusal(errno.ENOTDIR)
        self._system.hierarchy.rmdir(group)

    def change(self, path: Path, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        group, name = self._find(path)
        if name:
            before = group.changed.get(name, (None, None, None))
            after = [new if new is not None else old for new, old in zip((mode, uid, gid), before, strict=True)]
            group.changed[name] = (after[0] if after[0] is None else after[0] & 0o7777, after[1], after[2])
            return
        group.mode = group.mode if mode is None else mode & 0o7777
        group.uid = group.uid if uid is None else uid
        group.gid = group.gid if gid is None else gid

    def set_times(self, path: Path, times: tuple[int, int] | None) -> None:  # noqa: ARG002
        self._find(path)  # touch(1) succeeds, as in kernfs; the times are not kept


def _file_attributes(group: Group, name: str) -> Attributes:
    mode, uid, gid = group.permissions(name, FILES[name].mode)
    return Attributes(stat.S_IFREG | mode, group.inode * _PER_GROUP + _INODE[name], uid, gid)


class ControlHandle(Handle):
    """An open control file. What was read at offset 0 is what later reads go on with; who may write is its opener."""

    def __init__(self, system: System, group: Group, name: str, opener: Caller) -> None:
        self._system = system
        self._opener = opener
        self._group = group
        self._name = name
        self._file: ControlFile = FILES[name]
        self._text = b""
        self._seen = self._news()

    def _news(self) -> int | None:
        return self._file.news(self._system, self._group) if self._file.news and self._is_there() else None

    def _is_there(self) -> bool:
        return not self._group.removed and self._file.belongs_to(self._group)

    def attributes(self) -> Attributes:
        return _file_attributes(self._group, self._name)

    def read(self, size: int, offset: int, caller: Caller) -> bytes:  # noqa: ARG002
        if not self._is_there():
            raise refusal(errno.ENODEV)
        if self._file.read is None:
            raise refusal(errno.EINVAL)
        if offset == 0:
            self._text = self._file.read(self._system, self._group).encode()
            self._seen = self._news()
        return self._text[offset : offset + size]

    def write(self, data: bytes, offset: int, caller: Caller) -> int:  # noqa: ARG002 - each write stands for itself
        if not self._is_there():
            raise refusal(errno.ENODEV)
        if self._file.write is None:
            raise refusal(errno.EINVAL)
        writer = replace(self._opener, pid=caller.pid)
        self._file.write(self._system, self._group, data.decode("utf-8", "surrogateescape").strip(), writer)
        return len(data)

    @property
    def has_news(self) -> bool | None:
        if self._file.news is None:
            return None
        return not self._is_there() or self._news() != self._seen
