"""Namespaces and mounts of Linux: a place of its own for a command, which is gone when its first process is."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH: Final = 2
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class NoNamespaces(OSError):
    """The operating system gives this user no namespaces."""


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises OSError."""
    _checked(_LIBC.unshare(ctypes.c_int(flags)), "unshare")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    _LIBC.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p]
    kind_word = kind.encode() if kind else None
    _checked(_LIBC.mount(os.fsencode(source), os.fsencode(target), kind_word, flags, None), target)


def bind(source: str, target: str) -> None:
    """Have `source` stand at `target`, too. Raises OSError."""
    _mount(source, target, None, _MS_BIND)


def detach(target: str) -> None:
    """Take a mount away, in this namespace only. Raises OSError."""
    _checked(_LIBC.umount2(os.fsencode(target), _MNT_DETACH), target)


def mount_proc() -> bool:
    """/proc of this namespace of processes; False where it is refused, and the old one stays."""
    try:
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError:
        return False
    return True


def clear_below(folder: str) -> None:
    """Take away the mounts below a folder, as far as that is allowed: they would be found in /proc/mounts."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed([one for one in points if one == folder or one.startswith(f"{folder}/")]):
        with suppress(OSError):
            detach(point)


def enter_own() -> None:
    """Mounts of one's own, and processes for the children: as root, or in a user namespace where one is root.

    Raises NoNamespaces.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWNS | CLONE_NEWPID | (CLONE_NEWUSER if uid else 0))
        if uid:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    except OSError as error:
        kind = "a user namespace" if uid else "namespaces for mounts and processes"
        raise NoNamespaces(
            f"shell needs {kind}, which the operating system refuses ({error.strerror}): run it as root, in a "
            "container with CAP_SYS_ADMIN, or where kernel.unprivileged_userns_clone and AppArmor allow user namespaces"
        ) from error
