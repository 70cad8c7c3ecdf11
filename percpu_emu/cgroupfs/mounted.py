"""A mount, and the loop that answers it: requests of processes and the machine's own business, in one thread.

mfusepy's own loop (libfuse's) blocks until there is a request. The machine has grace periods to end meanwhile, so the
session is driven from here, by the functions that libfuse's loop consists of.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import mfusepy

from percpu_emu.cgroupfs.operations import Operations

LIBRARY: Final = mfusepy._libfuse  # noqa: SLF001 - the library that mfusepy has found and loaded
ATTEND_SECONDS: Final = 0.02
IDLE_MS: Final = 20
AT_A_TIME: Final = 64
"""Requests that are answered before the machine is looked after again."""


class MountFailed(OSError):
    """The operating system refused the mount."""


class _Arguments(ctypes.Structure):
    _fields_ = (("argc", ctypes.c_int), ("argv", ctypes.POINTER(ctypes.c_char_p)), ("allocated", ctypes.c_int))


_VOID: Final = ctypes.c_void_p
_SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "fuse_new": (_VOID, [ctypes.POINTER(_Arguments), _VOID, ctypes.c_size_t, _VOID]),
    "fuse_mount": (ctypes.c_int, [_VOID, ctypes.c_char_p]),
    "fuse_unmount": (None, [_VOID]),
    "fuse_destroy": (None, [_VOID]),
    "fuse_get_session": (_VOID, [_VOID]),
    "fuse_session_fd": (ctypes.c_int, [_VOID]),
    "fuse_session_exited": (ctypes.c_int, [_VOID]),
    "fuse_session_receive_buf": (ctypes.c_int, [_VOID, ctypes.POINTER(mfusepy.fuse_buf)]),
    "fuse_session_process_buf": (None, [_VOID, ctypes.POINTER(mfusepy.fuse_buf)]),
}


def _declare() -> None:
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(LIBRARY, name)
        function.restype, function.argtypes = result, arguments


class Mount:
    """A mounted file system. Answer it with `step`, until `ended`."""

    def __init__(self, fuse: int) -> None:
        self._session = LIBRARY.fuse_get_session(fuse)
        self._buffer = mfusepy.fuse_buf()
        self._descriptor = LIBRARY.fuse_session_fd(self._session)
        os.set_blocking(self._descriptor, False)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    @property
    def ended(self) -> bool:
        """Whether it was unmounted from outside."""
        return bool(LIBRARY.fuse_session_exited(self._session))

    def step(self, wait_ms: int) -> bool:
        """Answer what is there, or comes within that time; whether there was a request."""
        if not self._poll.poll(wait_ms):
            return False
        for _ in range(AT_A_TIME):
            size = LIBRARY.fuse_session_receive_buf(self._session, ctypes.byref(self._buffer))
            if size in (-errno.EINTR, -errno.EAGAIN):
                break
            if size <= 0:
                LIBRARY.fuse_session_exit(ctypes.c_void_p(self._session))
                break
            LIBRARY.fuse_session_process_buf(self._session, ctypes.byref(self._buffer))
        return True


@contextmanager
def mounted(operations: Operations, point: str, options: str) -> Iterator[Mount]:
    """Mount at `point` with libfuse's options for the block. Raises MountFailed."""
    _declare()
    session: list[Callable[[], None]] = []
    found: list[Mount] = []
    held: list[Any] = []

    def instead_of_the_loop(_argc: int, _argv: Any, table: Any, size: int, _data: None) -> int:
        mended = (_rename(_copied(table.contents.rename)), _truncate(_copied(table.contents.truncate), operations))
        table.contents.rename, table.contents.truncate = mended
        words = (ctypes.c_char_p * 3)(b"percpu-emu", b"-o", options.encode())
        arguments = _Arguments(3, words, 0)
        held.extend((table, mended, words, arguments))
        fuse = LIBRARY.fuse_new(ctypes.byref(arguments), table, size, None)
        if not fuse:
            return 1
        if LIBRARY.fuse_mount(fuse, os.fsencode(point)) != 0:
            LIBRARY.fuse_destroy(fuse)
            return 1
        session.extend((lambda: LIBRARY.fuse_unmount(fuse), lambda: LIBRARY.fuse_destroy(fuse)))
        found.append(Mount(fuse))
        return 0

    loop = mfusepy.fuse_main_real
    mfusepy.fuse_main_real = instead_of_the_loop
    try:
        fuse = mfusepy.FUSE(operations, point, raw_fi=True)
        fuse.operations = operations  # which it has let go of, as if the loop were over
        held.append(fuse)
    except RuntimeError as error:
        raise MountFailed(f"{point} cannot be mounted; libfuse says above why") from error
    finally:
        mfusepy.fuse_main_real = loop
    try:
        yield found[0]
    finally:
        for end in session:
            end()


def _copied(function: Any) -> Any:
    """A function pointer by itself: that of a structure is what stands in the structure, also when that changes."""
    return ctypes.cast(function, type(function))


def _rename(rename: Any) -> Any:
    """A rename with flags is refused, and mv(1) does without: mfusepy drops them, and would overwrite."""

    def call(old: bytes, new: bytes, flags: int) -> int:
        return -errno.EINVAL if flags else int(rename(old, new, flags))

    return type(rename)(call)


def _truncate(truncate: Any, operations: Operations) -> Any:
    """An open file is truncated as such, as it may have no name: mfusepy drops which one it is."""

    def call(path: bytes | None, size: int, info: Any) -> int:
        if not info:
            return int(truncate(path, size, info))
        try:
            return int(operations.truncate_open(info.contents, size))
        except OSError as error:
            return -(error.errno or errno.EIO)

    return type(truncate)(call)


def serve(mount: Mount, operations: Operations, attend: Callable[[], bool], busy: Callable[[], bool],
          work: Callable[[], None]) -> None:  # fmt: skip
    """Answer until the mount has ended or `attend`, called every 20 ms, says so.

    While the machine is `busy`, `work` is called whenever there is no request. Raises what went wrong with the machine.
    """
    attend_at = 0.0
    while not mount.ended:
        if not mount.step(0 if busy() else IDLE_MS) and busy():
            work()
        if operations.failure is not None:
            raise operations.failure
        now = time.monotonic()
        if now >= attend_at:
            attend_at = now + ATTEND_SECONDS
            operations.wake_pollers()
            if attend():
                return
