"""`tmp/`: a file system for scratch files, whose pages are page cache of whoever touches them first."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from percpu_emu.cgroupfs.branch import Attributes, Branch, Caller, Handle, Path
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.cgroupfs.inodes import FileHandle, Inode

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.system import System


class TmpBranch(Branch):
    """Its top is writable by all, with the sticky bit, as /tmp is."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._top = Inode(stat.S_IFDIR | 0o1777, 0, 0, entries={})

    def _find(self, path: Path) -> Inode:
        inode = self._top
        for name in path:
            found = inode.directory.get(name)
            if found is None:
                raise refusal(errno.ENOENT)
            inode = found
        return inode

    def _enter(self, path: Path, inode: Inode) -> None:
        above = self._find(path[:-1])
        if path[-1] in above.directory:
            raise refusal(errno.EEXIST)
        above.directory[path[-1]] = inode
        above.touched()

    def attributes(self, path: Path) -> Attributes:
        return self._find(path).attributes

    def names(self, path: Path) -> Iterable[str]:
        return list(self._find(path).directory)

    def open(self, path: Path, flags: int, caller: Caller) -> Handle:
        inode = self._find(path)
        handle = FileHandle(self._system, inode)
        if flags & os.O_TRUNC:
            handle.truncate(0, caller)
        return handle

    def create(self, path: Path, mode: int, caller: Caller) -> Handle:
        self.mknod(path, stat.S_IFREG | stat.S_IMODE(mode), caller)
        return FileHandle(self._system, self._find(path))

    def mknod(self, path: Path, mode: int, caller: Caller) -> None:
        if stat.S_IFMT(mode) in (stat.S_IFCHR, stat.S_IFBLK):
            raise refusal(errno.EPERM)
        self._enter(path, Inode(mode & ~caller.umask, caller.uid, caller.gid))

    def mkdir(self, path: Path, mode: int, caller: Caller) -> None:
        inode = Inode(stat.S_IFDIR | (stat.S_IMODE(mode) & ~caller.umask), caller.uid, caller.gid, entries={})
        self._enter(path, inode)

    def symlink(self, target: str, path: Path, caller: Caller) -> None:
        self._enter(path, Inode(stat.S_IFLNK | 0o777, caller.uid, caller.gid, target=target))

    def readlink(self, path: Path) -> str:
        inode = self._find(path)
        if not stat.S_ISLNK(inode.mode):
            raise refusal(errno.EINVAL)
        return inode.target

    def link(self, old: Path, new: Path) -> None:
        inode = self._find(old)
        if inode.entries is not None:
            raise refusal(errno.EPERM)
        self._enter(new, inode)
        inode.links += 1

    def rmdir(self, path: Path, caller: Caller) -> None:  # noqa: ARG002
        if self._find(path).directory:
            raise refusal(errno.ENOTEMPTY)
        self._remove(path)

    def unlink(self, path: Path, caller: Caller) -> None:
        inode = self._find(path)
        if inode.entries is not None:
            raise refusal(errno.EISDIR)
        self._remove(path)
        self._lost_a_name(inode, caller)

    def _remove(self, path: Path) -> None:
        above = self._find(path[:-1])
        del above.directory[path[-1]]
        above.touched()

    def _lost_a_name(self, inode: Inode, caller: Caller) -> None:
        inode.links -= 1
        inode.changed = time.time_ns()
        inode.release(self._system, caller)

    def rename(self, old: Path, new: Path, caller: Caller) -> None:
        """The host's kernel has seen to it that no directory moves into itself."""
        moved, target = self._find(old), self._find(new[:-1]).directory.get(new[-1])
        if target is moved:
            return
        if target is not None:
            if target.entries is not None and moved.entries is None:
                raise refusal(errno.EISDIR)
            if moved.entries is not None and target.directory:
                raise refusal(errno.ENOTEMPTY)
            self._remove(new)
        self._remove(old)
        self._enter(new, moved)
        if target is not None and target.entries is None:
            self._lost_a_name(target, caller)

    def change(self, path: Path, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        inode = self._find(path)
        if mode is not None:
            inode.mode = stat.S_IFMT(inode.mode) | stat.S_IMODE(mode)
        inode.uid = inode.uid if uid is None else uid
        inode.gid = inode.gid if gid is None else gid
        inode.changed = time.time_ns()

    def set_times(self, path: Path, times: tuple[int, int] | None) -> None:
        inode = self._find(path)
        inode.accessed, inode.modified = times or (time.time_ns(), time.time_ns())
        inode.changed = time.time_ns()
