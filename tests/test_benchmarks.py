"""The benchmarks run and measure what they say; how fast is not asked here."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

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


def test_the_production_curve_is_drawn_with_the_days_and_the_figures_that_the_page_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(BENCHMARKS)
    curve = importlib.import_module("production_curve")
    curve.main(tmp_path / "days.svg")
    text = " ".join(ElementTree.fromstring((tmp_path / "days.svg").read_text()).itertext())
    assert "production hosts, day 0 to 7" in text
    assert (tmp_path / "days.svg").stat().st_size < 100_000
    last = [str(round(curve.counted_mb(cpus)[-1])) for cpus in curve.CPUS]
    page = (BENCHMARKS.parent / "docs" / "footprint.md").read_text(encoding="utf-8")
    assert f"| {curve.DIFFERENCE_MB[-1]} MB for {curve.MORE[-1]} dying | {', '.join(last)} MB" in page
