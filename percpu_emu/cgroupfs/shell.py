"""`percpu-emu shell`: a command in namespaces of its own, beside the machine that answers its files.

Three kinds of processes: the one that was called, which waits; the server, the first process of a new namespace of
processes, with its CPUs; and the command, with whatever it starts. The kernel ends all of a namespace with its first
process, and the server dies with the one that was called: whichever is killed, none of the others stays, and no mount.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final

from percpu_emu.cgroupfs.command import MOUNT_POINT, start_command, take_terminal
from percpu_emu.cgroupfs.members import stat_of
from percpu_emu.cgroupfs.mounted import Mount, mounted, serve
from percpu_emu.cgroupfs.namespaces import NoNamespaces, clear_below, enter_own, mount_proc
from percpu_emu.cgroupfs.operations import Operations, poll_handle_notifier
from percpu_emu.cgroupfs.session import Session, running
from percpu_emu.machine import EventStream, Trapped
from percpu_emu.scenario.load import Loaded
from percpu_emu.shm import die_with

OPTIONS: Final = "fsname=percpu-emu,subtype=percpu-emu,default_permissions,allow_other"
_GRACE_SECONDS: Final = 1.0
_SIGNAL_BASE: Final = 128


@dataclass(frozen=True)
class Ended:
    """How a command has ended: its exit status as a shell has it, and whether a signal to the server was why."""

    status: int
    terminated: bool


def isolate() -> int | None:
    """Go on as the first process of namespaces of its own: None there; in the process that was called, its exit code.

    Raises OSError where this is refused. Ctrl-C is the command's business. SIGTERM and SIGHUP go on to the server,
    which ends everything in order.
    """
    if not os.path.isdir(MOUNT_POINT):  # noqa: PTH112
        raise OSError(f"shell needs the folder {MOUNT_POINT}, to stand there: mount sysfs, or make it")
    enter_own()
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    outside, inside = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(inside)
        _die_with_the_writer_of(outside)
        return None
    os.close(outside)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda one, _frame: os.kill(process, one))
    status = os.waitpid(process, 0)[1]
    if os.isatty(0):
        take_terminal()
    return os.waitstatus_to_exitcode(status)


def _die_with_the_writer_of(pipe: int) -> None:
    """As `die_with`, for a parent in another namespace of processes, whose number is 0 whether it lives or not."""
    die_with(os.getppid())
    if select.select([pipe], [], [], 0)[0]:
        os._exit(1)
    os.close(pipe)


def run_shell(
    loaded: Loaded, words: Sequence[str], events: EventStream, ready: Callable[[], None], *, busy: bool, shim: bytes
) -> tuple[Session, Ended]:
    """Serve while the command runs; then judge the machine. In the process that `isolate` has made."""
    if not mount_proc():
        raise NoNamespaces("shell needs a /proc of its own, which the operating system refuses: a container hides it")
    clear_below(MOUNT_POINT)
    with running(loaded, events, busy=busy) as session:
        session.system.shim = shim
        operations = Operations(session.files, poll_handle_notifier())
        with mounted(operations, MOUNT_POINT, OPTIONS) as mount:
            ready()
            ended = _Command(session, mount, operations).run(words)
        session.judge()
    return session, ended


class _Command:
    def __init__(self, session: Session, mount: Mount, operations: Operations) -> None:
        self._session = session
        self._mount = mount
        self._operations = operations
        self._status: int | None = None
        self._process = 0
        self._signal = 0
        self._kill_at = 0.0

    def run(self, words: Sequence[str]) -> Ended:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._terminate)
        self._process = start_command(words, preload=bool(self._session.system.shim))
        machine = self._session.machine
        try:
            serve(self._mount, self._operations, self._attend, lambda: not machine.settled, machine.poll_or_sleep)
        except Trapped as trap:
            self._session.trap = trap
        finally:
            self._end_others()
        status = self._status if self._status is not None else _SIGNAL_BASE + signal.SIGKILL
        return Ended(status, bool(self._signal))

    def _terminate(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number

    def _attend(self) -> bool:
        self._session.system.attend()
        if self._signal and not self._kill_at:
            self._kill_at = time.monotonic() + _GRACE_SECONDS
            with suppress(OSError):
                os.kill(self._process, self._signal)
        if self._kill_at and time.monotonic() >= self._kill_at:
            self._end_others()
        self._reap()
        self._go_on()
        return self._status is not None

    def _reap(self) -> None:
        """Note the command's end, and bury orphans: they are this process's children, as the first of its namespace."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in self._session.system.members.kernel:
                return
            _, status = os.waitpid(found.si_pid, 0)
            if found.si_pid == self._process:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else _SIGNAL_BASE - code

    def _go_on(self) -> None:
        """Ctrl-Z stops the command only, and no shell would continue it: it goes on."""
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, self._process, os.WSTOPPED | os.WNOHANG) is not None and os.isatty(0):
                os.kill(self._process, signal.SIGCONT)

    def _end_others(self) -> None:
        """SIGKILL to all that is in the namespace and not the machine's."""
        kernel = self._session.system.members.kernel
        for name in os.listdir("/proc"):  # noqa: PTH208
            if name.isdecimal() and int(name) not in kernel and stat_of(int(name)):
                with suppress(OSError):
                    os.kill(int(name), signal.SIGKILL)
