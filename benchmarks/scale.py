"""What `percpu-emu run dying-cgroups` costs against cgroups and CPUs: one table, each row a whole command.

python benchmarks/scale.py [--json] [--full]      --full adds 256 CPUs x 4 nodes x 5000 cgroups (minutes)
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

SIZES = [(32, 1, 250), (32, 1, 500), (32, 1, 1000), (32, 1, 2000), (8, 1, 1000), (64, 1, 1000), (128, 1, 1000)]
LARGEST = (256, 4, 5000)


@dataclass(frozen=True)
class Row:
    """One run of both protocols; `percpu_mb` is what the original one's slots take at the end."""

    cpus: int
    nodes: int
    cgroups: int
    seconds: float
    peak_mb: int
    percpu_mb: int
    verdict: str


def measure(cpus: int, nodes: int, cgroups: int) -> Row:
    """Run the command once; its time, and the largest resident set of a process of it."""
    size = ["--cpus", str(cpus), "--nodes", str(nodes), "--cgroups", str(cgroups)]
    start = time.monotonic()
    call = [sys.executable, "-m", "percpu_emu", "run", "dying-cgroups", "--json", *size]
    done = subprocess.run(call, stdout=subprocess.PIPE, check=False)
    seconds = time.monotonic() - start
    report = json.loads(done.stdout)
    percpu_kb = report["figures"]["original"]["after"]["percpu_kb"]
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Row(cpus, nodes, cgroups, round(seconds, 1), peak_kb // 1024, percpu_kb // 1024, report["verdict"])


def main() -> int:
    """Measure, print, and say by the exit code whether every run passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    measure(1, 1, 1)  # compile, if that was not done yet
    rows = [measure(*size) for size in [*SIZES, *([LARGEST] if options.full else [])]]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        table = Table("CPUs", "nodes", "cgroups", "seconds", "Percpu at the end, MB", "verdict")
        for row in rows:
            table.add_row(*map(str, (row.cpus, row.nodes, row.cgroups, row.seconds, row.percpu_mb, row.verdict)))
        Console().print(table)
    return 0 if all(row.verdict == "pass" for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
