"""How many random schedules a second one core does: uniform ones and PCT's, of 3 tasks x 7 plain operations.

python benchmarks/schedules.py [--json] [--schedules N]

By processor time, and the best of some rounds: what else the machine is doing must not count.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass

from percpu_emu.explore.model import Model
from percpu_emu.explore.random_search import random_schedules
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, atomic_long_add, read_once, this_cpu_add, this_cpu_inc, write_once
from percpu_emu.lang.setting import ContextSpec, Setting

ROUNDS = 7


@dataclass(frozen=True)
class Row:
    """A strategy; `depth` is PCT's."""

    strategy: str
    depth: int | None
    schedules_per_s: int
    steps_per_s: int


def seven_operations() -> Program[None]:
    x = yield read_once(STATIC)
    yield write_once(STATIC, x + 1)
    yield this_cpu_add(8, 1)
    y = yield read_once(STATIC + 1)
    yield write_once(STATIC + 1, y + x)
    yield atomic_long_add(STATIC + 2, 1)
    yield this_cpu_inc(9)


def measure(model: Model, strategy: str, depth: int | None, schedules: int) -> Row:
    """The best round."""
    best = (0, 0)
    for seed in range(ROUNDS):
        start = time.process_time()
        walked = random_schedules(model, schedules=schedules, seconds=600, seed=seed, depth=depth, threads=1)
        spent = time.process_time() - start
        best = max(best, (round(walked.schedules / spent), round(walked.steps / spent)))
    return Row(strategy, depth, *best)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--schedules", type=int, default=1_000_000)
    options = parser.parse_args()
    model = Model(Setting(3, tuple(ContextSpec(f"task {n}", seven_operations, cpu=n) for n in range(3))))
    random_schedules(model, schedules=1, seconds=60, seed=0)  # compile, if that was not done yet
    rows = [measure(model, "uniform", None, options.schedules), measure(model, "PCT", 3, options.schedules)]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
    for row in [] if options.json else rows:
        print(f"{row.strategy:8} {row.schedules_per_s:>10,} schedules/s, {row.steps_per_s:>12,} steps/s")


if __name__ == "__main__":
    main()
