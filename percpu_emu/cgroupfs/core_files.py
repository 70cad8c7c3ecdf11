"""cgroup.*: the files that every cgroup has (kernel/cgroup/cgroup.c, Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

import errno
import os
import signal
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.control_files import ControlFile, flag, keyed, number
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.cgroupfs.hierarchy import CONTROLLERS, NO_LIMIT

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.branch import Caller
    from percpu_emu.cgroupfs.hierarchy import Group
    from percpu_emu.cgroupfs.system import System


def _names(controllers: set[str]) -> str:
    return " ".join(name for name in CONTROLLERS if name in controllers) + "\n"


def _procs(system: System, group: Group) -> str:
    return "".join(f"{pid}\n" for pid in system.members.of(group))


def _threads(system: System, group: Group) -> str:
    threads: list[int] = []
    for pid in system.members.of(group):
        with suppress(OSError):
            threads += map(int, os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - names, not paths
    return "".join(f"{thread}\n" for thread in sorted(threads))


def _attach(system: System, group: Group, text: str, caller: Caller) -> None:
    """Raises EBUSY where the cgroup shares its controllers out: processes are in leaves, or in the root.

    A process moves within what its mover may write: EACCES where that is not cgroup.procs of the nearest cgroup that
    holds both where it comes from and where it goes. Its mover is who has opened the file.
    """
    pid = number(text)
    if pid < 0:
        raise refusal(errno.EINVAL)
    pid = pid or caller.pid
    if not _may_write_procs(group.shared_with(system.members.home(pid)), caller):
        raise refusal(errno.EACCES)
    if group.parent is not None and group.subtree_control:
        raise refusal(errno.EBUSY)
    system.members.move(pid, group)
    if system.is_frozen(group):
        _send(pid, signal.SIGSTOP)


def _may_write_procs(group: Group, caller: Caller) -> bool:
    mode, uid, gid = group.permissions("cgroup.procs", CORE_FILES["cgroup.procs"].mode)
    bit = stat.S_IWUSR if caller.uid == uid else stat.S_IWGRP if caller.gid == gid else stat.S_IWOTH
    return caller.uid == 0 or bool(mode & bit)


def _attach_thread(_system: System, _group: Group, text: str, _caller: Caller) -> None:
    number(text)
    raise refusal(errno.EOPNOTSUPP)  # a thread leaves its process's domain only in a threaded subtree


def _type(_system: System, _group: Group, text: str, _caller: Caller) -> None:
    raise refusal(errno.EOPNOTSUPP if text == "threaded" else errno.EINVAL)


def _events(system: System, group: Group) -> str:
    frozen = system.is_frozen(group)
    return keyed({"populated": int(system.members.populated(group)), "frozen": int(frozen)})


def _events_news(system: System, group: Group) -> int:
    return int(system.members.populated(group)) * 2 + int(system.is_frozen(group))


def _stat(_system: System, group: Group) -> str:
    return keyed({"nr_descendants": group.nr_descendants, "nr_dying_descendants": group.nr_dying_descendants})


def _limit(key: str) -> ControlFile:
    def read(_system: System, group: Group) -> str:
        value = getattr(group, key)
        return "max\n" if value == NO_LIMIT else f"{value}\n"

    def write(_system: System, group: Group, text: str, _caller: Caller) -> None:
        value = NO_LIMIT if text == "max" else number(text)
        if not 0 <= value <= NO_LIMIT:
            raise refusal(errno.ERANGE)
        setattr(group, key, value)

    return ControlFile(read, write, on_root=True)


def _freeze(system: System, group: Group, text: str, _caller: Caller) -> None:
    group.frozen = flag(text)
    for below in group.below():
        for pid in system.members.of(below):
            _send(pid, signal.SIGSTOP if system.is_frozen(below) else signal.SIGCONT)


def _kill(system: System, group: Group, text: str, _caller: Caller) -> None:
    if not flag(text):
        raise refusal(errno.ERANGE)
    system.kill_all(group)


def _send(pid: int, number: int) -> None:
    with suppress(OSError):
        os.kill(pid, number)


CORE_FILES: Final[dict[str, ControlFile]] = {
    "cgroup.type": ControlFile(lambda _system, _group: "domain\n", _type),
    "cgroup.procs": ControlFile(_procs, _attach, on_root=True),
    "cgroup.threads": ControlFile(_threads, _attach_thread, on_root=True),
    "cgroup.controllers": ControlFile(lambda _system, group: _names(group.controllers), on_root=True),
    "cgroup.subtree_control": ControlFile(
        lambda _system, group: _names(group.subtree_control),
        lambda system, group, text, _caller: system.hierarchy.control_subtree(group, text),
        on_root=True,
    ),
    "cgroup.events": ControlFile(_events, news=_events_news),
    "cgroup.max.descendants": _limit("max_descendants"),
    "cgroup.max.depth": _limit("max_depth"),
    "cgroup.stat": ControlFile(_stat, on_root=True),
    "cgroup.freeze": ControlFile(lambda _system, group: f"{int(group.frozen)}\n", _freeze),
    "cgroup.kill": ControlFile(None, _kill),
}
