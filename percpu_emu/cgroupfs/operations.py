"""The file system as libfuse wants it: one method for each of its operations (mfusepy's names and arguments)."""

from __future__ import annotations

import ctypes
import errno
import select
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import mfusepy

from percpu_emu.cgroupfs.branch import Attributes, Caller
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.cgroupfs.inodes import ROOM
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.branch import Handle
    from percpu_emu.cgroupfs.filesystem import FileSystem

_SPLICING: Final = 0b111 << 7  # FUSE_CAP_SPLICE_WRITE, _MOVE, _READ: requests are small, and go through memory
_NEWS: Final = select.POLLPRI | select.POLLERR
_ALWAYS: Final = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM


def _answered(method: Callable[..., Any]) -> Callable[..., Any]:
    """An operation. What it raises and is no OSError is kept: the machine is of no use then, and the caller has EIO."""

    @wraps(method)
    def call(operations: Operations, *arguments: Any) -> Any:
        if operations.failure is not None:
            raise refusal(errno.EIO)
        try:
            return method(operations, *arguments)
        except OSError:
            raise
        except BaseException as error:
            operations.failure = error
            raise refusal(errno.EIO) from error

    return call


class Operations:
    """Every method may raise OSError, which becomes the errno of the system call."""

    use_ns = True

    def __init__(self, files: FileSystem, notify: Callable[[int], None]) -> None:
        """`notify(poll handle)` wakes a process that waits in poll(2)."""
        self._files = files
        self._notify = notify
        self._waiting: dict[int, int] = {}
        """Poll handles, by the number of the open file."""
        self.failure: BaseException | None = None
        """What went wrong with the machine itself; every call fails with EIO then."""

    def init_with_config(self, connection: Any, config: Any) -> None:
        """Numbers of inodes are ours; a file's name may go before the file; what is not there may be soon."""
        connection.want &= ~_SPLICING
        config.use_ino = config.hard_remove = config.nullpath_ok = 1
        config.negative_timeout = 0.0
        config.entry_timeout = config.attr_timeout = 1.0

    def _caller(self) -> Caller:
        context = mfusepy._libfuse.fuse_get_context().contents  # noqa: SLF001 - the public function leaves umask out
        return Caller(context.pid, context.uid, context.gid, context.umask)

    def _handle(self, info: Any) -> Handle:
        return self._files.handle(info.fh)

    # --- names

    @_answered
    def getattr(self, path: str | None, info: Any = None) -> dict[str, int]:
        if info is not None:
            return _as_dict(self._handle(info).attributes())
        branch, names = self._files.route(path or "")
        return _as_dict(branch.attributes(names))

    @_answered
    def opendir(self, path: str) -> int:
        return self._files.keep_directory(path)

    @_answered
    def releasedir(self, _path: str | None, number: int) -> int:
        self._files.forget_directory(number)
        return 0

    @_answered
    def readdir(self, _path: str | None, number: int) -> Iterable[tuple[str, dict[str, int], int]]:
        """What a directory holds, with the kind of each."""
        branch, names = self._files.route(self._files.directory(number))
        found = [(name, branch.attributes([*names, name])) for name in branch.names(names)]
        here = branch.attributes(names)
        listed = [(".", here), ("..", here), *found]
        return [(name, {"st_mode": one.mode, "st_ino": one.inode}, 0) for name, one in listed]

    @_answered
    def readlink(self, path: str) -> str:
        branch, names = self._files.route(path)
        return branch.readlink(names)

    @_answered
    def mkdir(self, path: str, mode: int) -> int:
        branch, names = self._files.route(path)
        branch.mkdir(names, mode, self._caller())
        return 0

    @_answered
    def mknod(self, path: str, mode: int, _device: int) -> int:
        branch, names = self._files.route(path)
        branch.mknod(names, mode, self._caller())
        return 0

    @_answered
    def rmdir(self, path: str) -> int:
        branch, names = self._files.route(path)
        branch.rmdir(names, self._caller())
        return 0

    @_answered
    def unlink(self, path: str) -> int:
        branch, names = self._files.route(path)
        branch.unlink(names, self._caller())
        return 0

    @_answered
    def symlink(self, path: str, target: str) -> int:
        branch, names = self._files.route(path)
        branch.symlink(target, names, self._caller())
        return 0

    @_answered
    def link(self, path: str, old: str) -> int:
        branch, source, target = self._files.both(old, path)
        branch.link(source, target)
        return 0

    @_answered
    def rename(self, old: str, new: str) -> int:
        branch, source, target = self._files.both(old, new)
        branch.rename(source, target, self._caller())
        return 0

    @_answered
    def chmod(self, path: str | None, mode: int) -> int:
        branch, names = self._files.route(_named(path))
        branch.change(names, mode=mode)
        return 0

    @_answered
    def chown(self, path: str | None, uid: int, gid: int) -> int:
        """An owner of -1 stays."""
        branch, names = self._files.route(_named(path))
        branch.change(names, uid=None if uid == -1 else uid, gid=None if gid == -1 else gid)
        return 0

    @_answered
    def utimens(self, path: str | None, times: tuple[int, int] | None) -> int:
        branch, names = self._files.route(_named(path))
        branch.set_times(names, times)
        return 0

    @_answered
    def truncate(self, path: str | None, size: int) -> int:
        branch, names = self._files.route(_named(path))
        branch.truncate(names, size, self._caller())
        return 0

    @_answered
    def truncate_open(self, info: Any, size: int) -> int:
        """The system call ftruncate; mfusepy has no operation for it (`mounted`)."""
        self._handle(info).truncate(size, self._caller())
        return 0

    @_answered
    def statfs(self, path: str) -> dict[str, int]:  # noqa: ARG002
        """Of `tmp/`, as it were; the other files hold nothing."""
        free = (ROOM - self._files.system.tmp_bytes) // PAGE_SIZE
        sizes = {"f_bsize": PAGE_SIZE, "f_frsize": PAGE_SIZE, "f_namemax": 255, "f_blocks": ROOM // PAGE_SIZE}
        return sizes | dict.fromkeys(("f_bfree", "f_bavail", "f_files", "f_ffree"), free)

    # --- open files

    @_answered
    def open(self, path: str, info: Any) -> int:
        branch, names = self._files.route(path)
        return self._opened(branch.open(names, info.flags, self._caller()), info)

    @_answered
    def create(self, path: str, mode: int, info: Any) -> int:
        branch, names = self._files.route(path)
        return self._opened(branch.create(names, mode, self._caller()), info)

    def _opened(self, handle: Handle, info: Any) -> int:
        info.fh = self._files.keep(handle)
        info.direct_io = int(not handle.cached)
        return 0

    @_answered
    def read(self, _path: str | None, size: int, offset: int, info: Any) -> bytes:
        return self._handle(info).read(size, offset, self._caller())

    @_answered
    def write(self, _path: str | None, data: bytes, offset: int, info: Any) -> int:
        return self._handle(info).write(data, offset, self._caller())

    @_answered
    def release(self, _path: str | None, info: Any) -> int:
        """The last descriptor is closed."""
        waiting = self._waiting.pop(info.fh, 0)
        if waiting:
            self._notify(waiting)
        self._files.forget(info.fh).close(self._caller())
        return 0

    @_answered
    def poll(self, _path: str | None, info: Any, waiting: int | None, found: Any) -> int:
        """POLLPRI once there is something to read that was not there at the last read."""
        news = self._handle(info).has_news
        found.contents.value = _ALWAYS | (_NEWS if news else 0)
        if waiting:
            before = self._waiting.pop(info.fh, 0)
            if before:
                self._notify(before)
            self._waiting[info.fh] = waiting
        return 0

    def wake_pollers(self) -> None:
        """Wake those that wait for what has come."""
        for number, waiting in list(self._waiting.items()):
            if self._files.handle(number).has_news:
                del self._waiting[number]
                self._notify(waiting)


def _named(path: str | None) -> str:
    if path is None:  # an open file without a name: nothing of it is left to change
        raise refusal(errno.ENOENT)
    return path


def _as_dict(found: Attributes) -> dict[str, int]:
    return {
        "st_mode": found.mode,
        "st_ino": found.inode,
        "st_nlink": found.links,
        "st_uid": found.uid,
        "st_gid": found.gid,
        "st_size": found.size,
        "st_blocks": -(-found.size // 4096) * 8,
        "st_blksize": 4096,
        "st_atime": found.accessed,
        "st_mtime": found.modified,
        "st_ctime": found.changed,
    }


def poll_handle_notifier() -> Callable[[int], None]:
    """The way of libfuse to wake a poller; the handle is of no use afterwards."""
    library = mfusepy._libfuse  # noqa: SLF001
    for name in ("fuse_notify_poll", "fuse_pollhandle_destroy"):
        getattr(library, name).argtypes = [ctypes.c_void_p]

    def notify(waiting: int) -> None:
        library.fuse_notify_poll(waiting)
        library.fuse_pollhandle_destroy(waiting)

    return notify
