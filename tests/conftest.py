"""Every test leaves the machine as it found it: the emulator promises that, so the tests check it all the time."""

from __future__ import annotations

import contextlib
import gc
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

hypothesis.settings.register_profile("default", derandomize=True, deadline=None)
hypothesis.settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all", action="store_true", help="a skipped test fails the run, but for what no package mends"
    )


def pytest_configure() -> None:
    """Begun in the background by a shell, the tests would ignore Ctrl-C, and so would what they start and interrupt."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if session.config.getoption("--require-all") and any(map(_could_be_installed, skipped)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _could_be_installed(skipped: pytest.TestReport) -> bool:
    """Whether a package enables the test; the reasons that begin with "this machine" are of what none enables."""
    reason = skipped.longrepr[2] if isinstance(skipped.longrepr, tuple) else ""
    return not reason.startswith("Skipped: this machine")


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temp folder that nobody else writes to, so that what is found in it is ours."""
    folder = tmp_path_factory.mktemp("temp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield folder


@pytest.fixture(autouse=True)
def nothing_left_behind(own_temporary_folder: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test after which there is a process, segment, mount or file that was not there before."""
    before = _found(own_temporary_folder)
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        return  # the traceback of a failed test keeps its segments alive
    request.node.funcargs.clear()  # a segment is mapped until its arrays are collected
    if _found(own_temporary_folder) - before:
        gc.collect()
        time.sleep(0.1)
    if left := sorted(_found(own_temporary_folder) - before):
        pytest.fail(f"left behind: {', '.join(left)}", pytrace=False)


def _found(folder: Path) -> set[str]:
    return {
        *(f"child process {pid}" for pid in _children()),
        *(f"descriptor {number} of {name}" for number, name in _descriptors() if "memfd:" in name),
        *(f"mount {line}" for line in our_mounts(folder)),
        *(f"shared memory {path}" for path in Path("/dev/shm").glob("*percpu*") if _may_be_ours(path, folder)),
        *(f"file {path}" for path in folder.rglob("*")),
    }


def our_mounts(folder: Path) -> list[str]:
    """Lines of /proc/self/mounts that this session may have made, whose temp folder is given."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if "percpu" in line and may_be_our_mount(line, folder)]


def may_be_our_mount(mount: str, folder: Path) -> bool:
    """Whether it is below the session's temp folder, or where `shell` mounts; others may mount machines elsewhere."""
    where = Path(mount.split()[1])
    return where.is_relative_to(folder.parent) or where == Path("/tmp") or where.parts[1:2] in (("sys",), ("proc",))


def _may_be_ours(shared: Path, folder: Path) -> bool:
    """Whether it is not that of a test in another process, which has its folder's name (`shm/test_left_behind.py`)."""
    return "-test-" not in shared.name or shared.name.endswith(f"-test-{folder.parent.name}")


def _children() -> list[str]:
    found = []
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended since it was listed
            found += listed.read_text().split()
    return found


def _descriptors() -> Iterator[tuple[int, str]]:
    for link in Path("/proc/self/fd").iterdir():
        try:
            yield int(link.name), str(link.readlink())
        except OSError:  # the one that this listing used
            continue
