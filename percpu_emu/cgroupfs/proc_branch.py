"""`proc/`: meminfo, vmstat and cgroups. What the machine knows is the machine's; the rest is this computer's."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterable
from pathlib import Path as File
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.branch import Attributes, Branch, Caller, Handle, Path
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.system import System

_KB: Final = 1024


def meminfo(system: System) -> str:
    """Slab, SReclaimable, SUnreclaim, Percpu and Cached are the machine's."""
    lines = dict(line.split(":", 1) for line in File("/proc/meminfo").read_text().splitlines())
    cached = system.charges.root.usage * PAGE_SIZE // _KB
    own = {
        "Cached": cached,
        "Slab": system.running.slab_kb,
        "SReclaimable": 0,  # the structures of cgroups are none
        "SUnreclaim": system.running.slab_kb,
        "Percpu": system.running.percpu_kb,
    }
    lines |= {name: _padded(name, value) for name, value in own.items()}
    return "".join(f"{name}:{text}\n" for name, text in lines.items())


def _padded(name: str, kb: int) -> str:
    """A value as the kernel prints it: the name fills 16 columns, the number 8."""
    return f"{'':{max(0, 15 - len(name))}}{kb:8d} kB"


def vmstat(system: System) -> str:
    """nr_file_pages and the numbers of slab pages are the machine's."""
    lines = dict(line.split(" ", 1) for line in File("/proc/vmstat").read_text().splitlines())
    lines["nr_file_pages"] = str(system.charges.root.usage)
    lines["nr_slab_reclaimable"] = "0"
    lines["nr_slab_unreclaimable"] = str(system.running.slab_kb * _KB // PAGE_SIZE)
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def cgroups(system: System) -> str:
    """The controllers; dying cgroups count."""
    return f"#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t{system.cgroups}\t1\n"


FILES: Final[dict[str, Callable[[System], str]]] = {"meminfo": meminfo, "vmstat": vmstat, "cgroups": cgroups}


class ProcBranch(Branch):
    """A directory of these."""

    def __init__(self, system: System, inode: int) -> None:
        self._system = system
        self._inode = inode

    def attributes(self, path: Path) -> Attributes:
        if not path:
            return Attributes(stat.S_IFDIR | 0o555, self._inode, links=2)
        if len(path) > 1 or path[0] not in FILES:
            raise refusal(errno.ENOENT)
        return Attributes(stat.S_IFREG | 0o444, self._inode + 1 + list(FILES).index(path[0]))

    def names(self, path: Path) -> Iterable[str]:
        if path:
            raise refusal(errno.ENOTDIR)
        return list(FILES)

    def open(self, path: Path, flags: int, caller: Caller) -> Handle:  # noqa: ARG002
        attributes = self.attributes(path)
        return _Reading(FILES[path[0]], self._system, attributes)


class _Reading(Handle):
    def __init__(self, text: Callable[[System], str], system: System, attributes: Attributes) -> None:
        self._read = text
        self._system = system
        self._attributes = attributes
        self._text = b""

    def attributes(self) -> Attributes:
        return self._attributes

    def read(self, size: int, offset: int, caller: Caller) -> bytes:  # noqa: ARG002
        if offset == 0:
            self._text = self._read(self._system).encode()
        return self._text[offset : offset + size]

    def write(self, data: bytes, offset: int, caller: Caller) -> int:  # noqa: ARG002
        raise refusal(errno.EACCES)
