"""`--require-all`, as CI runs the suite: a test that a package enables may not be skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent / "conftest.py"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("pahole is not installed: Debian's package dwarves", pytest.ExitCode.TESTS_FAILED),
        ("this machine has no /dev/fuse", pytest.ExitCode.OK),
    ],
)
def test_a_skipped_test_fails_the_run_where_a_package_enables_it(tmp_path: Path, reason: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.skip(reason={reason!r})\ndef test_skipped(): ...\ndef test_passes(): ...\n"
    )
    arguments = ["--rootdir", ".", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "--require-all"], cwd=tmp_path, capture_output=True, check=False
    )
    assert run.returncode == code, run.stdout
