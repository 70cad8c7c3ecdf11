"""How many granted steps a second a replay does: 2 and 4 CPUs, plain operations, with a switch after every step.

python benchmarks/replay.py [--json] [--steps N]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

from percpu_emu.lang.ops import Program, this_cpu_add
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.source import sites
from percpu_emu.replay import Plan, PlannedStep, replay

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


def plan(rounds: int, cpus: int, together: int) -> Plan:
    """So many steps on each CPU, `together` of them at a time."""
    site = sites(count)[0]
    steps = [PlannedStep(cpu, cpu, "this_cpu_add", site) for cpu in range(cpus)]
    schedule = [steps[number // together % cpus] for number in range(rounds * cpus)]
    return Plan(tuple(schedule))


def measure(cpus: int, steps: int) -> Row:
    """Replay the same steps round and round, and one CPU after the other."""
    each = steps // cpus
    setting = Setting(cpus, tuple(ContextSpec(f"task {n}", count, cpu=n, arguments=(each + 1,)) for n in range(cpus)))
    rates = [
        max(round(each * cpus / replay(setting, plan(each, cpus, together)).seconds) for _ in range(ROUNDS))
        for together in (1, each)
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
