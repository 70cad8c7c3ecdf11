"""Runs the suite, a pytest process for each part and one part on each core: `python -m tests [pytest's arguments]`.

Not pytest-xdist: its workers have threads, and one of them may take a signal that is sent to the process. A process of
its own keeps a part small, too: to fork a pytest process of 3 GB, as the whole suite makes it, takes 30 ms.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
LONGEST: Final = ("scenario", "machine", "web", "cli", "replay", "lang", "explore")
"""Folders that take minutes begin first, so that no core waits at the end."""
NO_TESTS: Final = 5


def parts() -> list[list[Path]]:
    """Each folder; the files beside them are one part."""
    folders = sorted(path for path in HERE.iterdir() if path.is_dir() and any(path.glob("*test*.py")))
    folders.sort(key=lambda path: LONGEST.index(path.name) if path.name in LONGEST else len(LONGEST))
    return [*([folder] for folder in folders), sorted(HERE.glob("test_*.py"))]


def run(part: list[Path], arguments: list[str]) -> int:
    """Pytest's exit code; the output stands together, when the part has ended."""
    command = [sys.executable, "-m", "pytest", *arguments, *map(str, part)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.buffer.flush()
    return 0 if done.returncode == NO_TESTS else done.returncode


def main(arguments: list[str]) -> int:
    """0 where every part passes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        codes = list(pool.map(lambda part: run(part, arguments), parts()))
    failed = [" ".join(path.name for path in part) for part, code in zip(parts(), codes, strict=True) if code]
    print(f"failed: {', '.join(failed)}" if failed else f"all {len(codes)} parts pass")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
