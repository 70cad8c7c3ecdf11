"""The check that every test is under (`tests/conftest.py`) is awake: each thing left behind fails the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import may_be_our_mount

CONFTEST: Final = Path(__file__).parent.parent / "conftest.py"

PROLOGUE: Final = """
import subprocess, tempfile
from percpu_emu.shm import Segment
kept = []
"""
CLEAN: Final = {
    "nothing": "pass",
    "dropped_segment": "Segment('dropped', 4096).close()",
    "removed_file": "tempfile.NamedTemporaryFile().close()",
    "ended_process": "subprocess.run(['true'])",
}
LEAVING: Final = {
    "process": "kept.append(subprocess.Popen(['sleep', '60']))",
    "segment": "kept.append(Segment('whole', 4096))",
    "mapping": "kept.append(Segment('mapped', 4096)); kept[-1].close()",
    "file": "tempfile.NamedTemporaryFile(prefix='percpu-', delete=False).close()",
    "shared_memory": "open(SHARED, 'w').close()",
}
FOUND: Final = {
    "process": "child process ",
    "segment": "of /memfd:percpu-emu:whole",
    "mapping": "of /memfd:percpu-emu:mapped",
    "file": "/temp0/percpu-",
    "shared_memory": "shared memory /dev/shm/percpu-emu-test-",
}
EPILOGUE: Final = "\ndef test_end():\n    kept[0].kill(); kept[0].wait()\n"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For each of such tests what pytest says of it."""
    folder = tmp_path_factory.mktemp("left-behind")
    base = folder / f"base-{os.getpid()}"  # the name by which the inner session knows its shared memory
    shared = Path(f"/dev/shm/percpu-emu-test-{base.name}")
    tests = "".join(f"def test_{name}():\n    {text}\n" for name, text in (CLEAN | LEAVING).items())
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_it.py").write_text(f"{PROLOGUE}SHARED = {str(shared)!r}\n{tests}{EPILOGUE}")
    arguments = ["-q", "-rA", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore", "--basetemp", str(base)]
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "--rootdir", ".", *arguments],
            cwd=folder, env=os.environ | {"COLUMNS": "1000"}, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    finally:
        shared.unlink(missing_ok=True)
    lines = [line for line in run.stdout.splitlines() if "test_it.py::test_" in line]
    return {name: "|".join(line for line in lines if f"::test_{name}" in line) for name in CLEAN | LEAVING}


@pytest.mark.parametrize("what", CLEAN)
def test_a_test_that_leaves_nothing_passes(report: dict[str, str], what: str) -> None:
    assert report[what] == f"PASSED test_it.py::test_{what}"


@pytest.mark.parametrize("what", LEAVING)
def test_what_a_test_leaves_behind_is_found(report: dict[str, str], what: str) -> None:
    assert f"ERROR test_it.py::test_{what} - Failed: left behind: " in report[what]
    assert FOUND[what] in report[what]


@pytest.mark.parametrize(
    ("mount_point", "ours"),
    [
        ("/tmp/pytest-of-a/pytest-1/test_mount0/percpu", True),
        ("/tmp/pytest-of-a/pytest-12/test_mount0/percpu", False),
        ("/home/percpu", False),
        ("/sys/fs/cgroup", True),
        ("/tmp", True),
    ],
)
def test_a_mount_counts_below_the_sessions_folder_and_where_a_shell_mounts(mount_point: str, *, ours: bool) -> None:
    line = f"percpu-emu {mount_point} fuse.percpu-emu rw 0 0"
    assert may_be_our_mount(line, Path("/tmp/pytest-of-a/pytest-1/temp0")) is ours
