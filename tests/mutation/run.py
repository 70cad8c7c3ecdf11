"""Runs the tests on every mutant: `python -m tests.mutation.run [--workers 2] [FIRST LAST]`.

A mutant that all tests pass, or that they take too long for, is named, and makes the exit code 1. Each takes 10 s to
15 min: not part of the suite.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from .mutants import COMPILED, MUTANTS, PLANS, PROCESS, REPLAY, Mutant

ROOT: Final = Path(__file__).parents[2]
OF_THE_SEARCH: Final = (
    "test_between_steps.py",
    "test_hotplug.py",
    "test_every_check.py",
    "test_faults.py",
    "test_lock_order.py",
    "test_lock_takings.py",
    "test_fairness.py",
    "test_allocations_fail.py",
    "test_combined.py",
    "test_against_oracle.py",
)
OF_REPLAY: Final = ("tests/replay", "tests/scenario/test_replaying.py", "tests/scenario/test_replaying_at_random.py")
SETTINGS: Final = "200"
SECONDS: Final = 900


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the tests on every mutant of the product.")
    parser.add_argument("range", nargs="*", type=int, help="the first and the last number; all where not given")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    first, last = given.range or (1, len(MUTANTS))
    chosen = list(enumerate(MUTANTS, 1))[first - 1 : last]
    with ThreadPoolExecutor(given.workers) as pool:
        noticed = list(pool.map(lambda entry: _is_noticed(*entry), chosen))
    print(f"{sum(noticed)} of {len(noticed)} mutants are noticed")
    return 0 if all(noticed) else 1


def _is_noticed(number: int, mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        for part in ("percpu_emu", "scenarios", "workers", "tests", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, tree / part)
        path = tree / "percpu_emu" / mutant.file
        text = path.read_text()
        if text.count(mutant.old) != 1:
            print(f"{number:3} MISFIT  {mutant.file}: {mutant.old!r:.90} stands there {text.count(mutant.old)} times")
            return False
        changed = text.replace(mutant.old, mutant.new)
        ast.parse(changed)  # any test would notice what is not Python
        path.write_text(changed)
        try:
            noticed = _failing_test(tree, on_processes=mutant.file in (PLANS, REPLAY, PROCESS, COMPILED))
            result = "noticed" if noticed else "SURVIVES"
        except subprocess.TimeoutExpired:
            noticed, result = "", "NOT JUDGED"
    print(f"{number:3} {result}  {mutant.file}: {mutant.old!r:.60}  {noticed}", flush=True)
    return bool(noticed)


def _failing_test(tree: Path, *, on_processes: bool) -> str:
    """The first test that fails, "" where all pass. Those of the search run without compiling anything."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PERCPU_EMU_TEST_SETTINGS": SETTINGS}
    command = [sys.executable, "-m", "pytest", "-x", "-q"]
    if on_processes:
        command += OF_REPLAY
    else:
        environment |= {"NUMBA_DISABLE_JIT": "1", "PERCPU_EMU_CACHE": str(tree / "cache")}
        command += ["-p", "tests.mutation.plain_engine", *(f"tests/explore/{name}" for name in OF_THE_SEARCH)]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode not in (0, 1, 2) or (done.returncode and not failed):
        raise RuntimeError(f"the tests did not run: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[0][:110] if failed else ""


if __name__ == "__main__":
    sys.exit(main())
