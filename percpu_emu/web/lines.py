"""The loop of a tab's process: one JSON object a line in, one a line out, until the input ends."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import termios
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from resource import RLIMIT_CPU, RLIMIT_DATA, setrlimit
from typing import Any, Final, TypeAlias

from percpu_emu.shm import die_with

Message: TypeAlias = dict[str, Any]
LIMITS: Final = {RLIMIT_DATA: 4 << 30, RLIMIT_CPU: 4 * 3600}
"""Of a tab's processes, each: bytes of private memory (a search may take 1 GiB), seconds of processor time."""
PIPE_BYTES: Final = 1 << 20
"""Room that the output asks for; the operating system may give less."""


class WrongRequest(ValueError):
    """A request that cannot be met, in a sentence for people."""


def settle_in() -> tuple[Inbox, Outbox]:
    """Make this process one of a tab's: it dies with the server, and standard output is for its lines alone."""
    die_with(os.getppid())
    for resource, most in LIMITS.items():
        setrlimit(resource, (most, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outbox = Outbox(os.dup(1))
    os.dup2(2, 1)  # whatever else is printed
    return Inbox(0), outbox


class Inbox:
    """Messages from a file descriptor. What is no JSON object is left out: the server sends none."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._arrived: deque[Message] = deque()

    def __iter__(self) -> Iterator[Message]:
        """Wait for each, until the input ends."""
        with suppress(EOFError):
            while True:
                while self._arrived:
                    yield self._arrived.popleft()
                self._read()

    def arrived(self) -> Iterator[Message]:
        """Those that are there, without waiting. Raises EOFError where the input has ended."""
        while select.select([self._descriptor], [], [], 0)[0]:
            self._read()
        while self._arrived:
            yield self._arrived.popleft()

    def _read(self) -> None:
        data = os.read(self._descriptor, 1 << 16)
        if not data:
            raise EOFError
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                if isinstance(found := json.loads(line), dict):
                    self._arrived.append(found)


class Outbox:
    """Messages to a pipe. `offer` drops one rather than wait for a reader that is slow."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._room = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)

    def say(self, message: Message) -> None:
        """Write it, however long that takes. Where the reader is gone, the process has no purpose and ends."""
        data = memoryview(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            os._exit(0)

    def offer(self, message: Message) -> bool:
        """Write it if half of the pipe is empty; whether it was."""
        unread = struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, b"\0" * 4))[0]
        if unread * 2 > self._room:
            return False
        self.say(message)
        return True
