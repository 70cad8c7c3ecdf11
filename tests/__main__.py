"""Runs the suite, a pytest process for each part and one part on each core: `python -m tests [pytest's arguments]`.

Not pytest-xdist: its workers have threads, and one of them may take a signal that is sent to the process. A process of
its own keeps a part small, too: to fork a pytest process of 3 GB, as the whole suite makes it, takes 30 ms.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
BY_FILE: Final = ("scenario", "machine")
"""Folders whose tests fork most: each file is a part, and begins small."""
LONGEST: Final = (*BY_FILE, "web", "cgroupfs", "cli", "replay", "lang", "explore")
"""Folders that take minutes begin first, so that no core waits at the end."""
NO_TESTS: Final = 5
"""Pytest's exit code where no test is selected."""


def parts() -> list[list[Path]]:
    """What one process runs each: a folder, a file of some folders, the files beside the folders."""
    folders = sorted(path for path in HERE.iterdir() if path.is_dir() and any(path.glob("*test*.py")))
    folders.sort(key=lambda path: LONGEST.index(path.name) if path.name in LONGEST else len(LONGEST))
    found = []
    for folder in folders:
        found += [[path] for path in sorted(folder.glob("test_*.py"))] if folder.name in BY_FILE else [[folder]]
    return [*found, sorted(HERE.glob("test_*.py"))]


def run(part: list[Path], arguments: list[str]) -> int:
    """Pytest's exit code; the output stands together, when the part has ended.

    Each part has a temporary folder of its own: pytest clears old ones away, and would do so in two processes at once.
    Its path is short, since Chromium has sockets below it, whose paths have 108 bytes.
    """
    with tempfile.TemporaryDirectory(prefix="t-", ignore_cleanup_errors=True) as root:
        base = Path(root, Path(root).name.removeprefix("t-"))
        command = [sys.executable, "-m", "pytest", f"--basetemp={base}", *arguments, *map(str, part)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.buffer.flush()
    return done.returncode


def main(arguments: list[str]) -> int:
    """0 where no test fails and there is one."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        codes = list(pool.map(lambda part: run(part, arguments), parts()))
    finally:
        pool.shutdown(cancel_futures=True)
    failed = [part for part, code in zip(parts(), codes, strict=True) if code not in (0, NO_TESTS)]
    ran = sum(code != NO_TESTS for code in codes)
    names = ", ".join(path.relative_to(HERE).as_posix() for part in failed for path in part)
    print(f"failed: {names}" if failed else f"{ran} parts pass" if ran else "no test is selected")
    return 1 if failed else 0 if ran else NO_TESTS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
