"""What a part of the file system can do: the interface that `cgroup/`, `proc/` and `tmp/` have in common."""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from percpu_emu.cgroupfs.errors import refusal

Path: TypeAlias = Sequence[str]
"""Names below the top of a branch."""


@dataclass(frozen=True)
class Caller:
    """The process that makes a system call."""

    pid: int
    uid: int = 0
    gid: int = 0
    umask: int = 0o022


@dataclass
class Attributes:
    """What stat(2) says; times in nanoseconds."""

    mode: int
    inode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    links: int = 1
    accessed: int = field(default_factory=time.time_ns)
    modified: int = field(default_factory=time.time_ns)
    changed: int = field(default_factory=time.time_ns)

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.mode)


class Handle:
    """An open file."""

    cached = False
    """Whether the host's kernel may keep what it reads, and map it."""

    def attributes(self) -> Attributes:
        """What fstat(2) says."""
        raise NotImplementedError

    def read(self, size: int, offset: int, caller: Caller) -> bytes:
        """Up to `size` bytes from `offset`."""
        raise NotImplementedError

    def write(self, data: bytes, offset: int, caller: Caller) -> int:
        """Write; how many bytes were taken."""
        raise NotImplementedError

    def truncate(self, size: int, caller: Caller) -> None:
        """Set the size, as O_TRUNC does: files that have none take it silently."""

    @property
    def has_news(self) -> bool | None:
        """Whether something has changed since the last read, for poll(2); None where poll says nothing special."""
        return None

    def close(self, caller: Caller) -> None:
        """The last descriptor is gone."""


class Branch:
    """A tree of files. What a branch does not override is refused, as a file system without that operation does."""

    def attributes(self, path: Path) -> Attributes:
        """What lstat(2) says. Raises ENOENT."""
        raise NotImplementedError

    def names(self, path: Path) -> Iterable[str]:
        """What a directory holds. Raises ENOENT, ENOTDIR."""
        raise NotImplementedError

    def open(self, path: Path, flags: int, caller: Caller) -> Handle:
        """Open a file that is there."""
        raise NotImplementedError

    def create(self, path: Path, mode: int, caller: Caller) -> Handle:
        """Make and open a file."""
        raise refusal(errno.EACCES)

    def mknod(self, path: Path, mode: int, caller: Caller) -> None:
        """Make a file, a FIFO or a socket."""
        raise refusal(errno.EPERM)

    def mkdir(self, path: Path, mode: int, caller: Caller) -> None:
        """Make a directory."""
        raise refusal(errno.EPERM)

    def rmdir(self, path: Path, caller: Caller) -> None:
        """Remove a directory."""
        raise refusal(errno.EPERM)

    def unlink(self, path: Path, caller: Caller) -> None:
        """Remove a name of a file."""
        raise refusal(errno.EPERM)

    def symlink(self, target: str, path: Path, caller: Caller) -> None:
        """Make a symbolic link."""
        raise refusal(errno.EPERM)

    def readlink(self, path: Path) -> str:
        """Where a symbolic link leads."""
        raise refusal(errno.EINVAL)

    def rename(self, old: Path, new: Path, caller: Caller) -> None:
        """Move a name."""
        raise refusal(errno.EPERM)

    def link(self, old: Path, new: Path) -> None:
        """Give a file another name."""
        raise refusal(errno.EPERM)

    def truncate(self, path: Path, size: int, caller: Caller) -> None:
        """Set a file's size by its name."""
        handle = self.open(path, 0, caller)
        handle.truncate(size, caller)
        handle.close(caller)

    def change(self, path: Path, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        """Change permissions or owner."""
        raise refusal(errno.EPERM)

    def set_times(self, path: Path, times: tuple[int, int] | None) -> None:
        """Set the times of access and modification, None for now."""
        raise refusal(errno.EPERM)
