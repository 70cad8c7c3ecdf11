"""A process that outlives the one that mounts, and takes its mount away if that is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from percpu_emu.cgroupfs.namespaces import detach

_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)


@contextmanager
def guarded(point: str, kind: str) -> Iterator[None]:
    """Inside the block a mount of this `kind` at `point` may come; with this process it goes, however that ends.

    The guardian is in a session of its own: what is sent to the whole group of this process does not reach it. It
    waits for the end of a pipe whose other end this process and its children hold.
    """
    waiting, held = os.pipe()
    there, ready = os.pipe()
    guardian = os.fork()
    if guardian == 0:
        os.close(held)
        os.close(there)
        _guard(waiting, ready, point, kind)
    os.close(waiting)
    os.close(ready)
    os.read(there, 1)
    os.close(there)
    try:
        yield
    finally:
        os.close(held)
        os.waitpid(guardian, 0)


def _guard(waiting: int, ready: int, point: str, kind: str) -> NoReturn:
    try:
        os.setsid()
        for number in _DEAF_TO:
            signal.signal(number, signal.SIG_IGN)
        os.close(ready)
        os.read(waiting, 1)
        if is_mounted(point, kind):
            _unmount(point)
    finally:
        os._exit(0)


def is_mounted(point: str, kind: str) -> bool:
    """Whether the topmost mount at `point` is a FUSE mount of this kind."""
    lines = [line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kinds = [line[line.index("-") + 1] for line in lines if _plain(line[4]) == point]
    return kinds[-1:] == [f"fuse.{kind}"]


def _plain(escaped: str) -> str:
    """A path as it is: the kernel writes a space in octal, behind a backslash."""
    return escaped.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in escaped else escaped


def _unmount(point: str) -> None:
    if os.geteuid() == 0:
        with suppress(OSError):
            detach(point)
    else:
        os.execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", point)
