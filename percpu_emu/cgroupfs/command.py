"""The command of `shell`: a process in which the machine's files stand where a kernel's would."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from percpu_emu.cgroupfs.hidden import SHIM
from percpu_emu.cgroupfs.namespaces import CLONE_NEWNS, bind, unshare

MOUNT_POINT: Final = "/sys/fs/cgroup"
"""Where the whole file system is mounted for the server; the command sees `cgroup/` of it there."""
SHIM_PATH: Final = f"{MOUNT_POINT}/{SHIM}"
_PROC_FILES: Final = ("meminfo", "vmstat", "cgroups")
_FAILED: Final = 126
_NOT_FOUND: Final = 127


def kept_folders(cwd: str) -> list[str]:
    """Folders below /tmp that stay visible in the machine's /tmp: where the command starts."""
    path = Path(cwd)
    return [str(path)] if Path("/tmp") in path.parents else []


def start_command(words: Sequence[str], *, preload: bool) -> int:
    """Fork, and run it, with the preload library or without; the process.

    That it cannot be started is told on stderr; its status is 126 or 127 then.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        _become(words, preload=preload)
    return process


def _become(words: Sequence[str], *, preload: bool) -> NoReturn:
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the server's end of the mount: whoever holds it, and is held up
        # by a call that the server will not answer any more, would keep itself from being killed
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if os.isatty(0):
            os.setpgid(0, 0)
            take_terminal()
        _set_up()
        if preload:
            os.environ["LD_PRELOAD"] = " ".join(filter(None, (SHIM_PATH, os.environ.get("LD_PRELOAD"))))
        os.execvp(words[0], list(words))
    except FileNotFoundError as error:
        _say(f"{error.filename or words[0]}: {error.strerror}")
        os._exit(_NOT_FOUND)
    except BaseException as error:
        _say(f"{words[0]}: {error}")
        os._exit(_FAILED)


def take_terminal() -> None:
    """Have the terminal's keys, such as Ctrl-C, go to this process's group.

    A command has a group of its own there: that of the server has no number in the command's namespace, and a shell
    stumbles over that when it ends.
    """
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with suppress(OSError):
        os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, before)


def _set_up() -> None:
    """In a namespace of the command's own: the server must not meet its own files, which it would wait for for ever."""
    cwd = str(Path.cwd())
    unshare(CLONE_NEWNS)
    for name in _PROC_FILES:
        with suppress(FileNotFoundError):
            bind(f"{MOUNT_POINT}/proc/{name}", f"/proc/{name}")
    kept = [(folder, os.open(folder, os.O_PATH | os.O_DIRECTORY)) for folder in kept_folders(cwd)]
    bind(f"{MOUNT_POINT}/tmp", "/tmp")
    for folder, descriptor in kept:
        Path(folder).mkdir(parents=True, exist_ok=True)
        bind(f"/proc/self/fd/{descriptor}", folder)
        os.close(descriptor)
    bind(f"{MOUNT_POINT}/cgroup", MOUNT_POINT)
    if kept:
        os.chdir(cwd)


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"percpu-emu: {text}\n".encode(errors="backslashreplace"))
