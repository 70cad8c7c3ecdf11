"""The guard on the command line: a trap or a page that came back fails the run, and so do too many areas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from percpu_emu.cli.main import app
from percpu_emu.machine import Trapped
from percpu_emu.percpu import guarded
from percpu_emu.report.result import Report

pytestmark = pytest.mark.timeout(300)

WILD = """
from percpu_emu.lang.ops import this_cpu_write


def wild(memcg, turn):
    yield this_cpu_write(1 << 21, 1)  # 16 MB on, where there is no chunk yet
"""
SMALL = """
name = "small"
summary = "cgroups are made"

[machine]
cpus = 2

[[workers]]
program = "{worker}"

[[steps]]
do = "repeat"
times = 20
steps = [{{ do = "mkdir", cgroup = "a{{i}}", publish = true }}]

[[steps]]
do = "wait"
seconds = 0.1
"""


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def small(folder: Path, worker: str) -> Path:
    (folder / "wild.py").write_text(WILD)
    file = folder / "small.toml"
    file.write_text(SMALL.format(worker=worker))
    return file


def failed(result: Any) -> dict[str, str]:
    report = Report.model_validate(json.loads(result.stdout))
    assert report.verdict == "fail"
    return {check.name: check.detail for check in report.checks if check.ok is False}


def test_a_trap_fails_the_run_with_its_report() -> None:
    result = run("stale-pointer", "--json")
    assert result.exit_code == 1
    [(name, told)] = failed(result).items()
    assert name == "no access to freed memory"
    assert "of stale_pointer, at stale_pointer:6 (line " in told
    assert "memcg_vmstats_percpu of cgroup storm-" in told
    assert "freed by percpu_rcu_free on the coordinator at percpu_rcu_free:" in told


def test_people_are_told_it_too() -> None:
    result = run("stale-pointer")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("fail in ")
    assert "no access to freed memory" in result.stdout
    assert "Traceback" not in result.output


def test_with_the_guard_a_wild_write_traps(tmp_path: Path) -> None:
    result = run(small(tmp_path, "wild.py"), "--guard", "--json")
    assert result.exit_code == 1
    assert "per-CPU memory that was never allocated (SIGBUS)" in failed(result)["no access to freed memory"]


def test_without_it_the_page_that_it_made_is_found(tmp_path: Path) -> None:
    result = run(small(tmp_path, "wild.py"), "--json")
    assert result.exit_code == 1
    assert "per-CPU memory: page " in failed(result)["no access to freed memory"]


def test_areas_that_run_out_are_the_environments_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MOST_AREAS", 64)
    result = run(small(tmp_path, "charge"), "--guard", "--json")
    assert result.exit_code == 3
    report = Report.model_validate(json.loads(result.stdout))
    assert report.error is not None
    assert report.error.kind == "environment"
    assert "cannot allocate memory (" in report.error.message
    assert "the guard has 63 areas at a time" in report.error.message
    assert run(small(tmp_path, "charge")).exit_code == 0, "without the guard there is room"


def test_a_trap_outside_of_every_check_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trap(*_: object) -> None:
        raise Trapped("CPU 1 touched what is gone")

    monkeypatch.setattr("percpu_emu.scenario.dispatch.run_scenario", trap)
    result = run(small(tmp_path, "charge"))
    assert (result.exit_code, result.stderr.strip()) == (1, "percpu-emu: CPU 1 touched what is gone")
