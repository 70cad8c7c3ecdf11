"""`percpu-emu mount`: the machine's files at a folder, until they are unmounted, or Ctrl-C."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from percpu_emu.cgroupfs.mounted import mounted, serve
from percpu_emu.cgroupfs.operations import Operations, poll_handle_notifier
from percpu_emu.cgroupfs.session import Session, running
from percpu_emu.machine import EventStream, Trapped
from percpu_emu.scenario.load import Loaded

HELPER: Final = "fusermount3"
"""It stays beside the mount, and takes it away if this process is killed."""
_OPTIONS: Final = "fsname=percpu-emu,subtype=percpu-emu,default_permissions,auto_unmount"


class NoFolder(ValueError):
    """What is no folder to mount at."""


def mount_and_serve(loaded: Loaded, point: str, events: EventStream, ready: Callable[[], None]) -> Session:
    """Serve at `point`; the session, judged. Raises NoFolder, MountFailed, and what the machine raises."""
    if not Path(point).is_dir():
        raise NoFolder(f"{point}: no folder; make it, and mount there")
    if shutil.which(HELPER) is None:
        raise OSError(errno.ENOENT, f"mount needs {HELPER}, which Debian has in the package fuse3")
    point = os.path.realpath(point)  # now: later it would have to be asked for at the mount
    options = _OPTIONS + (",allow_other" if os.geteuid() == 0 else "")
    with running(loaded, events) as session:
        operations = Operations(session.files, poll_handle_notifier())
        stop = _Stop()
        with mounted(operations, point, options) as mount:
            ready()

            def attend() -> bool:
                session.system.attend()
                return stop.wanted

            machine = session.machine
            try:
                serve(mount, operations, attend, lambda: not machine.settled, machine.poll_or_sleep)
            except Trapped as trap:
                session.trap = trap
        session.judge()
    return session


class _Stop:
    """Ctrl-C or SIGTERM: the orderly end."""

    def __init__(self) -> None:
        self.wanted = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True
