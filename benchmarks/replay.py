"""How many granted steps a second a replay does: 2 and 4 CPUs, plain operations, with a switch after every step.

python benchmarks/replay.py [--json] [--steps N]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

from percpu_emu.lang.ops import Program, this_cpu_add
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.machine.controlled import replay

SLOT = 8
ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """The best of some rounds: the processor is shared with whatever else runs."""

    cpus: int
    switching_steps_per_s: int
    steps_per_s_without_switches: int


def count(times: int) -> Program[None]:
    for _ in range(times):
        yield this_cpu_add(SLOT, 1)


def measure(cpus: int, steps: int) -> Row:
    """Replay the same steps round and round, and one CPU after the other."""
    each = steps // cpus
    setting = Setting(cpus, tuple(ContextSpec(f"task {n}", count, cpu=n, arguments=(each,)) for n in range(cpus)))
    round_robin = [step % cpus for step in range(each * cpus)]
    in_turn = [step // each for step in range(each * cpus)]
    rates = [
        max(round(len(schedule) / replay(setting, schedule).seconds) for _ in range(ROUNDS))
        for schedule in (round_robin, in_turn)
    ]
    return Row(cpus, *rates)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()
    rows = [measure(cpus, options.steps) for cpus in (2, 4)]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
    for row in [] if options.json else rows:
        print(
            f"{row.cpus} CPUs: {row.switching_steps_per_s:,} steps/s with a switch after every step, "
            f"{row.steps_per_s_without_switches:,} without"
        )


if __name__ == "__main__":
    main()
