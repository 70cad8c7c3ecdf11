"""Whole commands against their limits: the main job the very first time and warm, and `list`.

python benchmarks/commands.py [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

LIMITS = {"dying-cgroups, the very first time": 45.0, "dying-cgroups, warm": 15.0, "list": 0.5}


def seconds(arguments: list[str], cache: str) -> float:
    """One run of the command with its programs compiled into `cache`."""
    start = time.monotonic()
    call = [sys.executable, "-m", "percpu_emu", *arguments]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PERCPU_EMU_CACHE": cache})
    return time.monotonic() - start


def main() -> int:
    """Measure, print, and say by the exit code whether every limit was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        job = ["run", "dying-cgroups", "--json"]
        found = {
            "dying-cgroups, the very first time": seconds(job, cache),
            "dying-cgroups, warm": statistics.median(seconds(job, cache) for _ in range(3)),
            "list": statistics.median(seconds(["list"], cache) for _ in range(5)),
        }
    if options.json:
        print(json.dumps({name: {"seconds": value, "limit": LIMITS[name]} for name, value in found.items()}))
    else:
        for name, value in found.items():
            print(f"{name:36} {value:6.2f} s  (limit {LIMITS[name]:g} s)")
    return 0 if all(value <= LIMITS[name] for name, value in found.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
