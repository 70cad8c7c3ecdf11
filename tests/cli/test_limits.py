"""What the environment may refuse: memory, processes, open files. Exit code 3, one sentence, nothing left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MB = 1 << 20
LIMITED = """
import os, resource, sys
from typer.testing import CliRunner
from percpu_emu.cli.main import app, main

warm = CliRunner().invoke(app, [*sys.argv[1:4], "0.05", *sys.argv[5:]])  # all that is imported or compiled is, then
assert warm.exit_code in (0, 1, 4), warm.output
assert CliRunner().invoke(app, ["run", "none-such", "--json"]).exit_code == 2
import multiprocess.connection, multiprocessing.connection
resource.setrlimit(resource.{kind}, ({most}, {most}))
if {nobody} and os.getuid() == 0:  # root may start as many processes as it likes
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
main()
"""

pytestmark = pytest.mark.timeout(300)


def run(kind: str, most: int, *more: str, nobody: bool = False) -> subprocess.CompletedProcess[str]:
    code = LIMITED.format(kind=kind, most=most, nobody=nobody)
    arguments = ["run", "release-storm", "--seconds", "0.2", *more]
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=250, check=False
    )


CASES = [
    pytest.param("RLIMIT_FSIZE", 16 * MB, [], "address space refused", id="no room in a memfd"),
    pytest.param("RLIMIT_NOFILE", 5, [], "Too many open files", id="no file for a segment"),
    pytest.param("RLIMIT_NOFILE", 10, [], "Too many open files", id="no file for a fault table or a pipe"),
    pytest.param("RLIMIT_NOFILE", 20, [], "could not be started: Too many open files", id="none for a CPU"),
    pytest.param("RLIMIT_NOFILE", 300, ["--guard"], "300 open files", id="none for the guard"),
    pytest.param("RLIMIT_AS", 6000 * MB, [], "refused", id="no addresses"),
]


@pytest.mark.parametrize(("kind", "most", "more", "said"), CASES)
def test_a_limit_is_told_in_a_sentence(kind: str, most: int, more: list[str], said: str) -> None:
    done = run(kind, most, *more)
    assert done.returncode == 3, done
    [line] = filter(None, done.stderr.splitlines())
    assert line.startswith("percpu-emu: ")
    assert said in line
    assert done.stdout == ""


def test_a_refused_fork_is_told_in_a_sentence() -> None:
    """To a user that may have no second process."""
    done = run("RLIMIT_NPROC", 1, "--json", nobody=True)
    assert done.returncode == 3, done
    report = json.loads(done.stdout)
    assert report["error"]["kind"] == "environment"
    assert "could not be started: Resource temporarily unavailable" in report["error"]["message"]
    [line] = filter(None, done.stderr.splitlines())
    assert line.startswith("percpu-emu: ")
