"""`percpu-emu mount`: the machine's files at a folder, until they are unmounted, or Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from percpu_emu.cgroupfs.guardian import guarded
from percpu_emu.cgroupfs.mounted import mounted, serve
from percpu_emu.cgroupfs.operations import Operations, poll_handle_notifier
from percpu_emu.cgroupfs.session import Session, running
from percpu_emu.machine import EventStream, Trapped
from percpu_emu.scenario.load import Loaded

HELPER: Final = "fusermount3"
"""How who is not root mounts and unmounts."""
_KIND: Final = "percpu-emu"
_OPTIONS: Final = f"fsname={_KIND},subtype={_KIND},default_permissions"


def mount_and_serve(
    loaded: Loaded, point: str, events: EventStream, ready: Callable[[], None], *, busy: bool = False
) -> Session:
    """Serve at the folder `point`; the session, judged. Raises MountFailed, and what the machine raises."""
    is_root = os.geteuid() == 0
    if not is_root and shutil.which(HELPER) is None:
        raise OSError(f"mount needs {HELPER}, which Debian has in the package fuse3")
    point = os.path.realpath(point)  # now: later it would have to be asked for at the mount
    options = _OPTIONS + (",allow_other" if is_root else "")
    with guarded(point, _KIND), running(loaded, events, busy=busy) as session:
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
