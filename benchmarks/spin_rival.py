"""The same update path and release in SPIN: our own Promela models, in `spin/`, verified as SPIN's users do it.

    python benchmarks/spin_rival.py [--json]

`spin -a` writes a verifier in C, the compiler builds it, it searches; partial-order reduction is on, as it is unless
switched off. Both parts are timed by the wall clock, because a model has to be compiled again for every size.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from rich.console import Console
from rich.table import Table

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]

MODELS: Final = Path(__file__).parent / "spin"
RELEASE: Final = MODELS / "release.pml"
FLUSH_THEN_SWAP: Final = MODELS / "flush_then_swap.pml"
FREE_WITHOUT_GRACE_PERIOD: Final = MODELS / "free_without_grace_period.pml"

DEPTH: Final = 100_000  # steps of the longest path that pan has room for; a path of ours is a few hundred
GRACE: Final = 20.0  # seconds that pan has to print its figures after it was stopped

_ERRORS: Final = re.compile(r"errors: (\d+)$", re.MULTILINE)
_STATES: Final = re.compile(r"^\s*(\d+) states, stored", re.MULTILINE)
_MEMORY: Final = re.compile(r"^\s*([\d.]+)\s+total actual memory usage", re.MULTILINE)
_ERROR: Final = re.compile(r"^pan:\d+: (.*)$", re.MULTILINE)
_STOPPED: Final = ("reached -DMEMLIM bound", "out of memory", "max search depth too small", "Search not completed")


class SpinError(Exception):
    """SPIN or the compiler refused the model: what they said."""


@dataclass(frozen=True)
class SpinResult:
    """One verification. `states` are those stored so far; `reason` is what was wrong, or why the search stopped."""

    compile_seconds: float
    search_seconds: float
    states: int
    verdict: Verdict
    reason: str | None = None
    memory_mb: float | None = None


def spin_available() -> bool:
    """Whether there is a `spin` and the compiler that it needs."""
    return shutil.which("spin") is not None and shutil.which("gcc") is not None


def verify(model: Path, defines: dict[str, int], timeout: float, memory_mb: int) -> SpinResult:
    """Compile a verifier of the model and run it; a search that comes to either limit is inconclusive."""
    with tempfile.TemporaryDirectory(prefix="spin-") as name:
        folder = Path(name)
        start = time.perf_counter()
        _compile(model, defines, memory_mb, folder)
        compiled = time.perf_counter()
        output = _search(folder, timeout)
        return _result(output, compiled - start, time.perf_counter() - compiled)


def trail(model: Path, defines: dict[str, int], *, shortest: bool = True) -> str:
    """The counterexample as SPIN prints it, step by step; "" if there is none. Meant for small models: no limits."""
    with tempfile.TemporaryDirectory(prefix="spin-") as name:
        folder = Path(name)
        _compile(model, defines, 4096, folder, *(["-DBFS"] if shortest else []))
        _call(folder, "./pan", f"-m{DEPTH}")
        if not list(folder.glob("*.trail")):
            return ""
        shown = _call(folder, "spin", "-p", "-g", "-k", f"{model.name}.trail", *_options(defines), str(model.resolve()))
    return shown.stdout


def _compile(model: Path, defines: dict[str, int], memory_mb: int, folder: Path, *extra: str) -> None:
    written = _call(folder, "spin", "-a", *_options(defines), str(model.resolve()))
    if written.returncode or not (folder / "pan.c").exists():
        raise SpinError(written.stdout + written.stderr)
    built = _call(folder, "gcc", "-O2", "-DSAFETY", f"-DMEMLIM={memory_mb}", *extra, "-o", "pan", "pan.c")
    if built.returncode:
        raise SpinError(built.stderr)


def _options(defines: dict[str, int]) -> list[str]:
    return [f"-D{name}={value}" for name, value in defines.items()]


def _call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _search(folder: Path, timeout: float) -> str:
    """What pan prints. At the time limit it is interrupted, and says how far it got."""
    command = ["./pan", f"-m{DEPTH}"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pan:
        try:
            return pan.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            pan.send_signal(signal.SIGINT)
        try:
            return pan.communicate(timeout=GRACE)[0]
        except subprocess.TimeoutExpired:
            return ""
        finally:
            pan.kill()


def _result(output: str, compile_seconds: float, search_seconds: float) -> SpinResult:
    states, memory = _STATES.search(output), _MEMORY.search(output)
    verdict = _verdict(output)
    return SpinResult(
        round(compile_seconds, 3),
        round(search_seconds, 3),
        int(states[1]) if states else 0,
        verdict,
        None if verdict == "pass" else _reason(output, verdict),
        float(memory[1]) if memory else None,
    )


def _verdict(output: str) -> Verdict:
    """Pass only if pan says that it found no error and got through."""
    errors = _ERRORS.search(output)
    if errors and int(errors[1]):
        return "fail"
    if errors is None or any(words in output for words in _STOPPED):
        return "inconclusive"
    return "pass"


def _reason(output: str, verdict: Verdict) -> str:
    if verdict == "fail":
        error = _ERROR.search(output)
        return error[1] if error else "an error without a text"
    stopped = next((words for words in _STOPPED[:-1] if words in output), None)
    return stopped or ("time limit" if _ERRORS.search(output) else "pan ended without a result")


# --- on its own


def measure() -> dict[str, SpinResult]:
    """The models in the sizes that we compare."""
    three = {"CPUS": 3, "UPDATES": 3}
    return {
        "release, 3 CPUs x 3": verify(RELEASE, three, 60, 8192),
        "release, 4 CPUs x 4": verify(RELEASE, {"CPUS": 4, "UPDATES": 4}, 60, 8192),
        "flush_then_swap, 3 x 3": verify(FLUSH_THEN_SWAP, three, 60, 8192),
        "free_without_grace_period, 3 x 3": verify(FREE_WITHOUT_GRACE_PERIOD, three, 60, 8192),
    }


def main() -> int:
    """Measure and print; 3 if SPIN is not installed, 1 if it says something else of a model than we do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not spin_available():
        print("spin_rival: `spin` and `gcc` are not both installed", file=sys.stderr)
        return 3
    found = measure()
    if options.json:
        print(json.dumps({name: asdict(result) for name, result in found.items()}, indent=2))
    else:
        table = Table("model", "compile, s", "search, s", "states", "verdict")
        for name, result in found.items():
            times = f"{result.compile_seconds:.2f}", f"{result.search_seconds:.2f}"
            table.add_row(name, *times, f"{result.states}", result.verdict)
        Console().print(table)
        for name, result in found.items():
            if result.reason:
                print(f"{name}: {result.reason}")
    right = all((result.verdict == "fail") != name.startswith("release") for name, result in found.items())
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
