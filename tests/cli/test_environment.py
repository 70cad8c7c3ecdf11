"""The environments of `docs/environment.md`: in each, a command works, or exits 3 with one sentence."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.shm import code_folder

from .commands import without_compiling

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(360)  # the first search on a machine is compiled
TABLE: Final = Path(__file__).parents[2] / "docs" / "environment.md"
SEARCH: Final = ("explore", "lost-increment")
RUN: Final = ("run", "lost-increment", "--seconds", "0.2")
OTHER_USER: Final = 54321
"""A user's number that no process of the machine has."""
LIST: Final = ("list",)
STEPS: Final = ("run", "dying-cgroups", "--cpus", "4", "--cgroups", "20")


def limited(which: int, to: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(which, (to, to))


def closed(*descriptors: int) -> Callable[[], None]:
    return lambda: [os.close(each) for each in descriptors]  # type: ignore[return-value]


def refusing_system_call(number: int) -> Callable[[], None]:
    """A seccomp filter: that system call fails with EPERM, and all others go through (seccomp(2), as BPF)."""

    def install() -> None:
        class Instruction(ctypes.Structure):
            _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]

        class Program(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]

        rows = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
        program = Program(len(rows), (Instruction * len(rows))(*(Instruction(*row) for row in rows)))
        prctl = ctypes.CDLL(None).prctl
        assert prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert prctl(22, 2, ctypes.byref(program), 0, 0) == 0  # PR_SET_SECCOMP

    return install


def percpu_emu(*arguments: str, before: tuple[str, ...] = (), options: tuple[str, ...] = (), **more: Any) -> Any:
    command = [*before, sys.executable, *options, "-m", "percpu_emu", *arguments]
    environment = {**os.environ, **more.pop("environment", {})}
    kept = {name: value for name, value in environment.items() if value is not None}
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    done = subprocess.run(command, env=kept, text=True, check=False, timeout=300, **more)
    done.stderr = done.stderr and without_compiling(done.stderr)
    return done


WORKS: Final[dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "stdin closed": (RUN, {"preexec_fn": closed(0)}),
    "stdout closed": (LIST, {"preexec_fn": closed(1)}),
    "stdout closed, --json": ((*LIST, "--json"), {"preexec_fn": closed(1)}),
    "all three closed": (RUN, {"preexec_fn": closed(0, 1, 2)}),
    "COLUMNS=20": (SEARCH, {"environment": {"COLUMNS": "20"}}),
    "COLUMNS=x": (SEARCH, {"environment": {"COLUMNS": "x"}}),
    "LANG=C": (SEARCH, {"environment": {"LANG": "C", "LC_ALL": "C"}}),
    "output that is ASCII": (RUN, {"environment": {"PYTHONIOENCODING": "ascii"}}),
    "TERM=dumb": (SEARCH, {"environment": {"TERM": "dumb"}}),
    "no HOME": (LIST, {"environment": {"HOME": None}}),
    "a HOME that is missing": (LIST, {"environment": {"HOME": "/nonexistent"}}),
    "64 open files": (STEPS, {"preexec_fn": limited(resource.RLIMIT_NOFILE, 64)}),
    "one processor": (RUN, {"preexec_fn": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})}),
    "python -O": (SEARCH, {"options": ("-O",)}),
    "python -OO": (RUN, {"options": ("-OO",)}),
    "NUMBA_DISABLE_JIT=1": (SEARCH, {"environment": {"NUMBA_DISABLE_JIT": "1"}}),
    "NUMBA_OPT=nonsense": (SEARCH, {"environment": {"NUMBA_OPT": "nonsense"}}),
    "NUMBA_DUMP_BYTECODE=1": ((*SEARCH, "--json"), {"environment": {"NUMBA_DUMP_BYTECODE": "1"}}),
}
REFUSED: Final[dict[str, tuple[tuple[str, ...], dict[str, Any], str]]] = {
    "64 open files, stress": (RUN, {"preexec_fn": limited(resource.RLIMIT_NOFILE, 64)}, "Too many open files"),
    "16 open files": (STEPS, {"preexec_fn": limited(resource.RLIMIT_NOFILE, 16)}, "Too many open files"),
    "1.5 GB of addresses, run": (RUN, {"preexec_fn": limited(resource.RLIMIT_AS, 1500 << 20)}, "address space refused"),
    "a full disk as stdout": (SEARCH, {}, "No space left on device"),
    "a full disk as stdout, --json": ((*SEARCH, "--json"), {}, "No space left on device"),
}
UNSHARED: Final = {
    "PID 1 of a namespace": ("unshare", "-rpf", "--mount-proc"),
    "unshare -r": ("unshare", "-r"),
    "/tmp and /dev/shm full": (
        "unshare", "-rm", "sh", "-c",
        'mount -t tmpfs -o size=4k none /mnt && mount -t tmpfs -o size=4k none /dev/shm && TMPDIR=/mnt exec "$@"', "sh",
    ),
}  # fmt: skip
FEW_PROCESSES: Final = {
    "one process (`ulimit -u 1`), explore": (1, SEARCH, 0),
    "one process (`ulimit -u 1`), run": (1, RUN, 3),
    "eight processes (`ulimit -u 8`), run": (8, RUN, 0),
}
SECCOMP: Final = {"seccomp refuses memfd_create": 319}
"""Number of the system call on x86-64."""
OTHERS: Final = {"a reader that goes away"}


@pytest.mark.parametrize("name", WORKS)
def test_it_works(name: str) -> None:
    arguments, more = WORKS[name]
    done = percpu_emu(*arguments, **more)
    assert (done.returncode, done.stderr) == (0, "")
    if "closed" not in name:
        assert json.loads(done.stdout) if "--json" in arguments else "pass" in done.stdout or arguments == LIST


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_a_sentence(name: str) -> None:
    arguments, more, said = REFUSED[name]
    with Path("/dev/full").open("w") as full:
        done = percpu_emu(*arguments, **({"stdout": full} if "full disk" in name else {}), **more)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert said in done.stderr


@pytest.mark.parametrize("name", UNSHARED)
def test_it_works_in_a_namespace(name: str) -> None:
    if subprocess.run([*UNSHARED["unshare -r"], "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets no namespace be made")
    with_cache = {"PERCPU_EMU_CACHE": os.environ.get("PERCPU_EMU_CACHE") or str(Path.home() / ".cache" / "percpu-emu")}
    done = percpu_emu(*RUN, before=UNSHARED[name], environment=with_cache, cwd="/")
    assert (done.returncode, "pass" in done.stdout) == (0, True), done.stderr


@pytest.fixture(scope="module")
def cache_of_another_user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is compiled already, as that user's own."""
    for arguments in (SEARCH, RUN):
        assert percpu_emu(*arguments).returncode == 0
    cache = tmp_path_factory.mktemp("another") / "cache"
    shutil.copytree(code_folder.named_folder(), cache)
    for path in (cache.parent, cache, *cache.iterdir()):
        os.chown(path, OTHER_USER, OTHER_USER)
    return cache


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root becomes a user of no process")
@pytest.mark.parametrize("name", FEW_PROCESSES)
def test_with_few_processes_it_works_or_says_so(cache_of_another_user: Path, name: str) -> None:
    """As a user of no other process: the limit counts all of a user's, and none of root's."""
    limit, arguments, code = FEW_PROCESSES[name]
    may = "-all,+dac_read_search,+dac_override"
    become = ("setpriv", f"--reuid={OTHER_USER}", "--clear-groups", "--inh-caps", may, "--ambient-caps", may)
    limited_to = (*become, "--bounding-set", may, "prlimit", f"--nproc={limit}:{limit}")
    environment = {"PERCPU_EMU_CACHE": str(cache_of_another_user), "HOME": "/nonexistent"}
    done = percpu_emu(*arguments, before=limited_to, environment=environment, cwd="/")
    assert (done.returncode, done.stderr.count("\n")) == (code, int(code != 0)), done.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls have other numbers on this machine")
@pytest.mark.parametrize("name", SECCOMP)
def test_a_system_call_that_is_refused_is_named(name: str) -> None:
    done = percpu_emu(*RUN, preexec_fn=refusing_system_call(SECCOMP[name]))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "Operation not permitted" in done.stderr


@pytest.mark.parametrize("arguments", [LIST, SEARCH, RUN, (*SEARCH, "--json")], ids=" ".join)
def test_a_reader_that_goes_away_ends_it_as_sigpipe_does(arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nowhere:
        done = percpu_emu(*arguments, stdout=nowhere)
    assert (done.returncode, done.stderr) == (141, "")


def test_every_row_of_the_table_is_tested_or_has_a_reason() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", TABLE.read_text(), flags=re.MULTILINE)[1:]
    tested = {name for name, _, how in rows if how == "test"}
    assert tested == {*WORKS, *REFUSED, *UNSHARED, *FEW_PROCESSES, *SECCOMP, *OTHERS}
    assert all(how == "test" or len(how) > 20 for _, _, how in rows)
