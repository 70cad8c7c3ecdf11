"""Files at the top of the tree that are not listed: what the preload library asks, and that library itself."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.branch import Attributes, Caller, Handle
from percpu_emu.cgroupfs.errors import refusal

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.system import System

PREFIX: Final = ".percpu-emu."
SHIM: Final = f"{PREFIX}shim.so"
_MEMBER: Final = f"{PREFIX}cgroup."
_INODE: Final = 16


def hidden_file(system: System, name: str) -> Handle | None:
    """The file of that name, None where there is no such: `.percpu-emu.cgroup.PID` is as /proc/PID/cgroup."""
    if name == SHIM and system.shim:
        return _Hidden(system.shim, 0o555, _INODE)
    pid = name.removeprefix(_MEMBER)
    if name.startswith(_MEMBER) and pid.isdecimal():
        return _Hidden(f"0::/{system.members.home(int(pid)).path}\n".encode(), 0o444, _INODE + 1)
    return None


class _Hidden(Handle):
    """A file whose contents stay what they were when it was opened."""

    cached = True

    def __init__(self, contents: bytes, permissions: int, inode: int) -> None:
        self._contents = contents
        self._attributes = Attributes(stat.S_IFREG | permissions, inode, size=len(contents))

    def attributes(self) -> Attributes:
        return self._attributes

    def read(self, size: int, offset: int, caller: Caller) -> bytes:  # noqa: ARG002
        return self._contents[offset : offset + size]

    def write(self, data: bytes, offset: int, caller: Caller) -> int:  # noqa: ARG002
        raise refusal(errno.EACCES)
