"""Programs that others wrote: which read the machine's files plainly, and which with the preload library."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from percpu_emu.cgroupfs.shim import NoCompiler, build
from tests.cgroupfs.conftest import needs_fuse, script, shell

pytestmark = needs_fuse


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs("cp", "tar", "du", "free", "vmstat", "flock", "findmnt", "mktemp", "install")
def test_coreutils_and_util_linux_need_nothing() -> None:
    done = script("""
        set -e
        cp -a /etc/passwd /tmp/copy; cmp /etc/passwd /tmp/copy; tar -cf /tmp/t.tar -C /etc passwd; tar -tf /tmp/t.tar
        install -d /tmp/d/e; ln -s d /tmp/s; mv /tmp/copy /tmp/s/moved; ls /tmp/d; sort -o /tmp/d/moved /tmp/d/moved
        flock /tmp/lock echo locked; mkfifo /tmp/fifo; echo through > /tmp/fifo & cat /tmp/fifo
        mkdir -p /sys/fs/cgroup/a/b; du -s /sys/fs/cgroup; find /sys/fs/cgroup -type d | wc -l
        find /sys/fs/cgroup/a -depth -type d | xargs rmdir
        free -k | grep -c Mem; vmstat | wc -l; findmnt -n -o TARGET /sys/fs/cgroup | tail -n 1
        rm -r /tmp/d; test -L /tmp/s
    """)
    expected = ["passwd", "e", "moved", "locked", "through", "0\t/sys/fs/cgroup", "3", "1", "3", "/sys/fs/cgroup"]
    assert lines(done) == expected


def test_psutil_reads_the_machines_memory() -> None:
    pytest.importorskip("psutil")
    text = "import psutil; print(psutil.virtual_memory().total > 0, 'python' in psutil.Process().name())"
    assert lines(shell(sys.executable, "-c", text)) == ["True True"]


@needs("cc", "cgcreate", "cgexec", "lscgroup", "cgset", "cgget", "cgdelete", "stat")
def test_cgroup_tools_need_the_preload_library() -> None:
    text = """
        cgcreate -g memory:/a/b; lscgroup memory:/a; cgset -r memory.max=8M a; cgget -n -v -r memory.max a
        cgexec -g memory:a/b sh -c 'cat /proc/self/cgroup; echo x > /tmp/x'; cgget -n -v -r memory.current a
        cgdelete -g memory:/a/b; cgdelete -g memory:/a; ls -d /sys/fs/cgroup/a; stat -f -c %T /sys/fs/cgroup
        LD_PRELOAD= cgcreate -g memory:/a || true
    """
    done = script(text, "--shim")
    assert "Cgroup is not mounted" in done.stderr
    assert lines(done) == [
        *("memory:/a/", "memory:/a/b", "8388608", "0::/a/b", "4096", "cgroup2fs"),
    ]


CLONES = """
import ctypes, errno, os, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
CLONE3, INTO_CGROUP, SIGCHLD = 435, 1 << 33, 17
def clone3(flags):
    arguments = ctypes.create_string_buffer(struct.pack("11Q", flags, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, folder), 88)
    process = libc.syscall(ctypes.c_long(CLONE3), arguments, ctypes.c_size_t(88))
    if process == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) if process > 0 else errno.errorcode[ctypes.get_errno()]
folder = os.open("/sys/fs/cgroup", os.O_PATH)
print(clone3(INTO_CGROUP), clone3(0))
"""


@needs("cc")
def test_a_clone_into_a_cgroup_does_not_exist_with_the_preload_library() -> None:
    """The host's answer is EBADF, which programs take for an error of their own; for ENOSYS they fork and move."""
    done = shell(sys.executable, "-c", CLONES, options=("--cpus", "2", "--shim"))
    assert lines(done) == ["ENOSYS 7"]


def test_without_a_compiler_the_preload_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompiler, match="no-such-compiler is not installed"):
        build()


def test_a_compiler_that_cannot_make_it_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(NoCompiler, match="needs a C compiler with the headers"):
        build()
