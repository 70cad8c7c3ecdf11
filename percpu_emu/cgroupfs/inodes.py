"""Files of `tmp/`: what they hold, and which of their pages are in memory, charged to whom."""

from __future__ import annotations

import errno
import itertools
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.branch import Attributes, Caller, Handle
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.memory import Page
    from percpu_emu.cgroupfs.system import System

_FIRST_INODE: Final = 1 << 40
_NUMBERS: Final = itertools.count(_FIRST_INODE)
ROOM: Final = 1 << 30
"""Bytes of all files together: what they hold is in this process's memory."""


@dataclass(eq=False)
class Inode:
    """A file, a directory (which has `entries`), a symbolic link (`target`), a FIFO or a socket."""

    mode: int
    uid: int
    gid: int
    entries: dict[str, Inode] | None = None
    target: str = ""
    data: bytearray = field(default_factory=bytearray)
    pages: dict[int, Page] = field(default_factory=dict)
    links: int = 1
    opened: int = 0
    number: int = field(default_factory=lambda: next(_NUMBERS))
    accessed: int = field(default_factory=time.time_ns)
    modified: int = field(default_factory=time.time_ns)
    changed: int = field(default_factory=time.time_ns)

    @property
    def attributes(self) -> Attributes:
        """What stat(2) says."""
        below = [entry for entry in (self.entries or {}).values() if entry.entries is not None]
        links = 2 + len(below) if self.entries is not None else self.links
        size = len(self.data) or len(self.target.encode("utf-8", "surrogateescape"))
        times = (self.accessed, self.modified, self.changed)
        return Attributes(self.mode, self.number, self.uid, self.gid, size, links, *times)

    @property
    def directory(self) -> dict[str, Inode]:
        """Its entries. Raises ENOTDIR."""
        if self.entries is None:
            raise refusal(errno.ENOTDIR)
        return self.entries

    def touched(self) -> None:
        """What it holds has changed now."""
        self.modified = self.changed = time.time_ns()

    def drop(self, index: int) -> None:
        """Reclaim has taken a page."""
        del self.pages[index]

    def load(self, system: System, start: int, end: int, caller: Caller) -> None:
        """Have those bytes' pages in memory: one that is not is charged to the caller's cgroup. Raises ENOMEM."""
        missing = [at for at in range(start // PAGE_SIZE, -(-end // PAGE_SIZE)) if at not in self.pages]
        if missing:
            memory = system.members.home(caller.pid).charged_to
            for page in system.charges.charge(memory, self, missing, caller.pid):
                self.pages[page.index] = page

    def _set_size(self, system: System, size: int) -> None:
        """Cut it off, or have it go on with zeros. Raises ENOSPC."""
        more = size - len(self.data)
        if system.tmp_bytes + more > ROOM:
            raise refusal(errno.ENOSPC)
        system.tmp_bytes += more
        if more < 0:
            del self.data[size:]
        else:
            self.data.extend(bytes(more))

    def put(self, system: System, data: bytes, offset: int, caller: Caller) -> None:
        """Write over what is there, or behind it. Raises ENOMEM, ENOSPC."""
        end = offset + len(data)
        if end > len(self.data):
            self._set_size(system, end)
        self.load(system, offset, end, caller)
        self.data[offset:end] = data
        self.mode &= ~(stat.S_ISUID | stat.S_ISGID)
        self.touched()

    def resize(self, system: System, size: int, caller: Caller) -> None:
        """Set the size; pages that are cut off are uncharged. Raises ENOSPC."""
        self._set_size(system, size)
        cut_off = [index for index in self.pages if index >= -(-size // PAGE_SIZE)]
        if cut_off:
            system.charges.uncharge([self.pages.pop(index) for index in cut_off], caller.pid)
        self.touched()

    def release(self, system: System, caller: Caller) -> None:
        """Uncharge all, once it has no name and is not open."""
        if self.links <= 0 and not self.opened:
            self.resize(system, 0, caller)


class FileHandle(Handle):
    """An open file of `tmp/`."""

    cached = True

    def __init__(self, system: System, inode: Inode) -> None:
        self._system = system
        self._inode = inode
        inode.opened += 1

    def attributes(self) -> Attributes:
        return self._inode.attributes

    def read(self, size: int, offset: int, caller: Caller) -> bytes:
        found = bytes(self._inode.data[offset : offset + size])
        if found:
            self._inode.load(self._system, offset, offset + len(found), caller)
        self._inode.accessed = time.time_ns()
        return found

    def write(self, data: bytes, offset: int, caller: Caller) -> int:
        self._inode.put(self._system, data, offset, caller)
        return len(data)

    def truncate(self, size: int, caller: Caller) -> None:
        self._inode.resize(self._system, size, caller)

    def close(self, caller: Caller) -> None:
        self._inode.opened -= 1
        self._inode.release(self._system, caller)
