"""The machine as files: the cover letter's loop in `shell`, system calls on a mount. Needs root, /dev/fuse and mfusepy.

python benchmarks/cgroupfs.py [--json] [--cpus 32] [--cgroups 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LIMITS = {
    "the letter's loop, 1000 cgroups, seconds": (20.0, False),
    "os.mkdir and os.rmdir, a second": (2000.0, True),
    "memory.stat, milliseconds": (1.0, False),
}
"""The limit, and whether more is better."""
LOOP = """
    top=/sys/fs/cgroup/parent; mkdir $top; echo +memory > $top/cgroup.subtree_control
    for i in $(seq 1 $1); do
        mkdir $top/$i; echo $$ > $top/$i/cgroup.procs
        dd if=/dev/urandom of=/tmp/page-$i count=1 2> /dev/null
        echo $$ > /sys/fs/cgroup/cgroup.procs; rmdir $top/$i
    done
    grep Percpu /proc/meminfo
"""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "percpu_emu", *words]


def loop_seconds(cpus: int, cgroups: int) -> float:
    """The loop in a shell, for a thousand cgroups; what the machine needs to start and end is left out."""

    def seconds(times: int) -> float:
        start = time.monotonic()
        words = command("shell", "--cpus", str(cpus), "--", "sh", "-c", LOOP, "sh", str(times))
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.monotonic() - start

    return (seconds(cgroups) - seconds(1)) * 1000 / cgroups


def rate(times: int, call: Callable[[], None]) -> float:
    """Calls a second."""
    start = time.monotonic()
    for _ in range(times):
        call()
    return times / (time.monotonic() - start)


def on_a_mount(cpus: int, times: int) -> tuple[float, float]:
    """How many calls of mkdir and rmdir a second, and milliseconds for reading memory.stat."""
    with tempfile.TemporaryDirectory() as folder:
        words = command("mount", folder, "--cpus", str(cpus), "--quiet")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            process.stderr.readline()
            top = Path(folder) / "cgroup"

            def make_and_remove() -> None:
                os.mkdir(top / "x")  # noqa: PTH102 - the calls themselves are measured
                os.rmdir(top / "x")  # noqa: PTH106

            pairs = rate(times, make_and_remove)
            reads = rate(times, lambda: str((top / "memory.stat").read_text()) and None)
            process.terminate()
    return 2 * pairs, 1000 / reads


def main() -> int:
    """Measure, print, and say by the exit code whether every limit was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cpus", type=int, default=32)
    parser.add_argument("--cgroups", type=int, default=1000)
    options = parser.parse_args()
    calls, milliseconds = on_a_mount(options.cpus, options.cgroups)
    found = dict(zip(LIMITS, (loop_seconds(options.cpus, options.cgroups), calls, milliseconds), strict=True))
    kept = {
        name: value >= LIMITS[name][0] if LIMITS[name][1] else value <= LIMITS[name][0] for name, value in found.items()
    }
    if options.json:
        print(json.dumps({name: {"value": value, "limit": LIMITS[name][0]} for name, value in found.items()}))
    else:
        for name, value in found.items():
            print(f"{name:44} {value:8.2f}  (limit {LIMITS[name][0]:g}, {'kept' if kept[name] else 'not kept'})")
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
