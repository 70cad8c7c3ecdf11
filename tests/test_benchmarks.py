"""The benchmarks run and measure what they say; how fast is not asked here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) to compare with")
def test_the_update_path_is_compared_with_c_and_both_count_right(tmp_path: Path) -> None:
    call = [sys.executable, str(BENCHMARKS / "update_path.py"), "--json", "--rounds", "3", "--turns", "20000"]
    result = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
    figures = json.loads(result.stdout)
    assert {"native_ns", "c_ns", "ratio", "rivals"} <= figures.keys()
    assert figures["ratio"] > 0
    assert figures["rivals"]["multiprocessing.Value with its lock"] > figures["native_ns"]
    assert not [check for check in figures["checks"] if "count" in check["name"] and check["ok"] is False]


@pytest.mark.timeout(240)
def test_the_stress_of_broken_protocols_and_fixed_versions_counts_what_is_caught(tmp_path: Path) -> None:
    call = [sys.executable, str(BENCHMARKS / "stress.py"), "flush-current-cpu"]
    broken = subprocess.run([*call, "--tries", "2"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "2 of 2" in broken.stdout, broken
    assert broken.stdout.endswith("ok: 0 tries missed a violation within 10 s\n")
    call[-1] = "flush-current-cpu-fixed"
    fixed = subprocess.run([*call, "--fixed", "0.5"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert fixed.stdout.endswith("ok: 0 fixed versions were not clean for 0.5 s\n")
