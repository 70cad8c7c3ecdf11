"""Machines served as files: without a mount (`Files`), at a folder (`mount_at`), in a shell (`shell`)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from percpu_emu.cgroupfs.branch import Attributes, Caller, Handle
from percpu_emu.cgroupfs.filesystem import FileSystem
from percpu_emu.cgroupfs.session import Session, load_machine, running
from percpu_emu.machine import EventStream

CPUS = 4
BIG = 1 << 16


class Files:
    """The file system as processes see it, by path, without a mount. `pid` is the process that calls."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.files: FileSystem = session.files
        self.system = session.system
        self.pid = os.getpid() + 1_000_000

    def caller(self) -> Caller:
        return Caller(self.pid)

    def open(self, path: str, flags: int = 0) -> Handle:
        branch, names = self.files.route(path)
        return branch.open(names, flags, self.caller())

    def read(self, path: str) -> str:
        handle = self.open(path)
        try:
            return handle.read(BIG, 0, self.caller()).decode()
        finally:
            handle.close(self.caller())

    def write(self, path: str, text: str) -> None:
        handle = self.open(path)
        handle.write(text.encode(), 0, self.caller())
        handle.close(self.caller())

    def save(self, path: str, data: bytes) -> None:
        """Make a file in `tmp/`, or write over it."""
        branch, names = self.files.route(path)
        try:
            handle = branch.create(names, 0o644, self.caller())
        except FileExistsError:
            handle = self.open(path)
        try:
            handle.write(data, 0, self.caller())
        finally:
            handle.close(self.caller())

    def mkdir(self, path: str) -> None:
        branch, names = self.files.route(path)
        branch.mkdir(names, 0o755, self.caller())

    def rmdir(self, path: str) -> None:
        branch, names = self.files.route(path)
        branch.rmdir(names, self.caller())

    def unlink(self, path: str) -> None:
        branch, names = self.files.route(path)
        branch.unlink(names, self.caller())

    def names(self, path: str) -> list[str]:
        branch, names = self.files.route(path)
        return list(branch.names(names))

    def attributes(self, path: str) -> Attributes:
        branch, names = self.files.route(path)
        return branch.attributes(names)

    def stat(self, path: str) -> dict[str, int]:
        """A flat keyed file."""
        return {key: int(value) for key, value in map(str.split, self.read(path).splitlines())}

    def put(self, path: str) -> None:
        """Have the calling process, which need not exist, be in a cgroup."""
        self.system.members._homes[self.pid] = self.system.hierarchy.find(path)

    def settle(self) -> None:
        self.session.machine.settle()

    def empty(self) -> None:
        """Remove every cgroup and every file."""
        self.system.members._homes.clear()
        for group in reversed([*self.system.hierarchy.root.below()][1:]):
            self.rmdir(f"cgroup/{group.path}")
        self._empty("tmp")
        self.settle()

    def _empty(self, path: str) -> None:
        for name in self.names(path):
            if self.attributes(f"{path}/{name}").is_directory:
                self._empty(f"{path}/{name}")
                self.rmdir(f"{path}/{name}")
            else:
                self.unlink(f"{path}/{name}")

    def areas(self) -> int:
        """Live areas of per-CPU memory."""
        return len(list(self.session.machine.memory.percpu.live()))


@contextmanager
def files_of(**overrides: object) -> Iterator[Files]:
    loaded = load_machine({"machine.cpus": CPUS} | {key.replace("__", "."): one for key, one in overrides.items()})
    with running(loaded, EventStream()) as session:
        yield Files(session)


@pytest.fixture(scope="module")
def one_machine() -> Iterator[Files]:
    """A machine of four CPUs for all tests of a module; at the end its books have to balance."""
    with files_of() as found:
        yield found
        found.session.judge()
        assert found.session.verdict == "pass", found.session.checks


@pytest.fixture
def files(one_machine: Files) -> Iterator[Files]:
    """It, empty; and empty again, it holds no more memory than before."""
    before = one_machine.areas()
    yield one_machine
    one_machine.empty()
    assert one_machine.system.hierarchy.root.nr_dying_descendants == 0
    assert one_machine.areas() == before


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "percpu_emu", *words]


def why_not() -> str:
    """What this computer lacks for a mount, "" for nothing."""
    if not Path("/dev/fuse").exists():
        return "this machine has no /dev/fuse"
    if shutil.which("fusermount3") is None:
        return "fusermount3 is not installed: Debian's package fuse3"
    try:
        import mfusepy  # noqa: F401, PLC0415
    except (ModuleNotFoundError, OSError) as error:
        return str(error)
    return "" if os.geteuid() == 0 else "only root is tested"


needs_fuse = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it has all")


@contextmanager
def mount_at(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`percpu-emu mount` at a folder; it is ended by SIGINT if the test has not ended it."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        command("mount", str(folder), "--cpus", str(CPUS), *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        said = ""
        while "mounted at" not in said:
            said = process.stderr.readline()
            assert said, process.communicate()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()
        wait_for(lambda: not mounts(str(folder)))
        folder.rmdir()


def shell(
    *words: str, options: tuple[str, ...] = ("--cpus", str(CPUS)), **more: object
) -> subprocess.CompletedProcess[str]:
    """`percpu-emu shell`, to its end."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command("shell", *options, "--", *words), check=False, capture_output=True, text=True, timeout=110, **more
    )


def script(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A script of sh in a machine."""
    return shell("sh", "-c", text, options=("--cpus", str(CPUS), *options))


def mounts(word: str = "percpu-emu") -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if word in line]


def wait_for(done: object, seconds: float = 20) -> None:
    assert callable(done)
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
