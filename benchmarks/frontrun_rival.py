"""The counter race in `frontrun` (PyPI), which explores the interleavings of real Python threads by DPOR.

    python benchmarks/frontrun_rival.py [--json] [--frontrun PATH]

Two threads read a counter and write it back, one more. It runs as its documentation asks, under its own command:
`frontrun python benchmarks/frontrun_rival.py --explore`. That may be another Python than ours, so nothing is imported
here but what every Python has. Where there is no frontrun, that is reported, and is no failure.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

THREADS: Final = 2
UPDATES: Final = 3  # of each thread, where schedules are counted; the first bug is looked for with 1 and with these
LIMIT: Final = 10.0  # seconds that the count of schedules may take
NOT_INSTALLED: Final = "not installed"


@dataclass(frozen=True)
class FrontrunResult:
    """What frontrun took; without figures, `missing` says why. A schedule is one run of all threads to their ends."""

    version: str | None = None
    schedules: int | None = None
    seconds: float | None = None
    schedules_per_second: float | None = None
    exhausted: bool | None = None
    """Whether those were all the schedules that its reduction leaves over."""
    first_bug_seconds: float | None = None
    first_bug_schedules: int | None = None
    first_bug_cold_seconds: float | None = None
    """The very first exploration of the process, with 1 update a thread."""
    missing: str | None = None


# --- ours: start it, read what it prints


def frontrun_command() -> str | None:
    """The `frontrun` of this Python, or else the one on the PATH."""
    return shutil.which("frontrun", path=str(Path(sys.executable).parent)) or shutil.which("frontrun")


def explore_counter(command: str | None = None, timeout: float = 60.0) -> FrontrunResult:
    """Run the counter race under frontrun's own command. Never raises for what frontrun does or lacks."""
    command = command or frontrun_command()
    if command is None:
        return FrontrunResult(missing=NOT_INSTALLED)
    call = [command, "python", str(Path(__file__).resolve()), "--explore"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=timeout)
    except OSError as reason:
        return FrontrunResult(missing=f"{NOT_INSTALLED}: {reason}")
    except subprocess.TimeoutExpired:
        return FrontrunResult(missing=f"nothing within {timeout:g} s")
    return _parse(done)


def _parse(done: subprocess.CompletedProcess[str]) -> FrontrunResult:
    """The last line that it printed is a JSON object."""
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        return FrontrunResult(**found)
    except (IndexError, ValueError, TypeError):
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        return FrontrunResult(missing=f"ended with {done.returncode}, said: {said}")


# --- theirs: what runs under `frontrun python`


class Counter:
    """A word that is read and written by turns."""

    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> None:
        """One update."""
        x = self.value
        self.value = x + 1

    def increments(self) -> None:
        """Several of them."""
        for _ in range(UPDATES):
            x = self.value
            self.value = x + 1


def _explore(updates: int, **options: Any) -> tuple[Any, float]:
    """Frontrun's own result, and how long it took."""
    frontrun: Any = importlib.import_module("frontrun")
    start = time.perf_counter()
    result = frontrun.explore(
        setup=Counter,
        workers=Counter.increment if updates == 1 else Counter.increments,
        count=THREADS,
        invariant=lambda counter: counter.value == THREADS * updates,
        reproduce_on_failure=0,
        **options,
    )
    return result, time.perf_counter() - start


def explore_here() -> FrontrunResult:
    """All schedules, without a bound on preemptions, and the time to the first bug."""
    _, cold = _explore(1)
    first, first_seconds = _explore(1)
    everything, seconds = _explore(UPDATES, stop_on_first=False, preemption_bound=None, total_timeout=LIMIT)
    assert first.property_holds is False
    assert everything.property_holds is False
    return FrontrunResult(
        version=importlib.metadata.version("frontrun"),
        schedules=everything.num_explored,
        seconds=round(seconds, 3),
        schedules_per_second=round(everything.num_explored / seconds, 1),
        exhausted=seconds < LIMIT,
        first_bug_seconds=round(first_seconds, 4),
        first_bug_schedules=first.num_explored,
        first_bug_cold_seconds=round(cold, 4),
    )


def main() -> int:
    """Print the figures, or that there are none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--frontrun", metavar="PATH", help="its command; by default that of this Python or the PATH")
    parser.add_argument("--explore", action="store_true", help="be the one that runs under frontrun")
    options = parser.parse_args()
    if options.explore:
        print(json.dumps(asdict(explore_here())))
        return 0
    result = explore_counter(options.frontrun)
    if options.json:
        print(json.dumps(asdict(result)))
    elif result.missing:
        print(f"frontrun: {result.missing}")
    else:
        for field in fields(result)[:-1]:
            print(f"{field.name:24} {getattr(result, field.name)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
