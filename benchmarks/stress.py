"""Every broken protocol under native stress, again and again, and every fixed version for a while.

    python benchmarks/stress.py                    20 tries of each broken one, at most 10 s each
    python benchmarks/stress.py --fixed 60         each that is right for 60 s
    python benchmarks/stress.py flush-then-swap    only those named

A try is native rounds up to the first violation; starting the processes is left out, and what the search makes of it.
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from percpu_emu.machine import EventStream
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.stress import RECORD_EVERY, Stressed, stress
from percpu_emu.scenario.subjects import subject_of

LIMIT_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="protocols; all if none is named")
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=LIMIT_SECONDS, help="limit of a try")
    parser.add_argument(
        "--fixed", type=float, default=0.0, help="run those that are right instead, for so many seconds"
    )
    options = parser.parse_args()
    protocols = [name for name, entry in shipped().items() if entry.place.path.parent.name == "protocols"]
    is_broken = {
        name: bool(explored := load(name).scenario.explore) and explored.expect is not None for name in protocols
    }
    names = options.names or [name for name in protocols if is_broken[name] is not bool(options.fixed)]
    return right(names, options.fixed) if options.fixed else broken(names, options.tries, options.seconds)


def tried(name: str, seed: int, seconds: float) -> Stressed:
    loaded = load(name, {"seed": seed})
    return stress(loaded, subject_of(loaded), EventStream(), record_every=RECORD_EVERY, seconds=seconds)


def broken(names: list[str], tries: int, seconds: float) -> int:
    table = Table("protocol", "caught", "median, s", "longest, s", "seen as")
    missed = 0
    for name in names:
        tried(name, 0, 0.1)  # compiles what was not compiled yet
        seen = [tried(name, seed, seconds) for seed in range(1, tries + 1)]
        times = sorted(one.seconds for one in seen)
        kinds = sorted({one.violation.check for one in seen if one.violation})
        caught = sum(one.violation is not None for one in seen)
        missed += tries - caught
        cells = f"{caught} of {tries}", f"{times[len(times) // 2]:.2f}", f"{times[-1]:.2f}", ", ".join(kinds)
        table.add_row(name, *cells)
        print(f"{name}: {' '.join(cells)}", file=sys.stderr, flush=True)
    Console(width=120).print(table)
    print(f"{'ok' if not missed else 'FAILED'}: {missed} tries missed a violation within {seconds:g} s")
    return int(missed > 0)


def right(names: list[str], seconds: float) -> int:
    table = Table("fixed version", "rounds", "seen")
    wrong = 0
    for name in names:
        one = tried(name, 1, seconds)
        what = one.violation.detail if one.violation else one.stuck or "nothing"
        wrong += what != "nothing"
        table.add_row(name, str(one.rounds), what)
        print(f"{name}: {one.rounds} rounds, {what}", file=sys.stderr, flush=True)
    Console(width=120).print(table)
    print(f"{'ok' if not wrong else 'FAILED'}: {wrong} fixed versions were not clean for {seconds:g} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
