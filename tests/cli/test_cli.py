from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from percpu_emu.cli.catalogue import PROTOCOLS as CATALOGUED
from percpu_emu.cli.schemas import SCHEMAS, schema_text
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.report.result import Report, report_schema
from percpu_emu.scenario.schema import json_schema

from .commands import command

SMALL = """
name = "small"
summary = "two cgroups come and go"

[machine]
cpus = 2

[[workers]]
program = "charge"

[[steps]]
do = "repeat"
times = 2
steps = [{ do = "mkdir", cgroup = "a{i}", publish = true }, { do = "rmdir", cgroup = "a{i}" }, { do = "settle" }]
"""


def test_list_shows_every_kind_and_works_in_any_folder(tmp_path: Path) -> None:
    result = command("list", cwd=tmp_path)
    assert result.returncode == 0
    for word in (
        "scenarios:",
        "dying-cgroups",
        "programs:",
        "charge",
        "protocols:",
        "patched",
        "kernels:",
        "linux-6.1",
    ):
        assert word in result.stdout
    assert CATALOGUED.keys() == PROTOCOLS.keys()


def test_list_imports_neither_numba_nor_numpy() -> None:
    code = "import sys; from percpu_emu.cli.catalogue import catalogue; catalogue(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "percpu_emu.cli.catalogue" in modules
    assert not {"numba", "numpy", "pydantic", "multiprocess"} & set(modules)


@pytest.mark.parametrize("name", ["dying-cgroups", "charge", "patched", "original", "linux-5.0-mmotm"])
def test_show_describes_whatever_list_names(name: str) -> None:
    result = command("show", name)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{name}: ")
    assert len(result.stdout.splitlines()) > 5


@pytest.mark.parametrize("arguments", [["list"], ["show", "patched"]])
def test_commands_that_only_read_give_the_same_object(arguments: list[str]) -> None:
    report = Report.model_validate(json.loads(command(*arguments, "--json", "--seed", "3").stdout))
    assert (report.command, report.verdict, report.seed) == (arguments[0], "pass", 3)
    assert report.figures


def test_show_lists_the_injection_points_of_a_protocol() -> None:
    assert "percpu_rcu_free:1 (line " in command("show", "patched").stdout


def test_run_json_is_one_object_that_fits_its_schema(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    result = command("run", "small.toml", "--json", "--seed", "7", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = Report.model_validate(json.loads(result.stdout))
    assert report.verdict == "pass"
    assert report.seed == 7
    assert report.scope["cpus"] == 2
    assert {check.ok for check in report.checks} == {True}


def test_run_for_people_ends_with_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    result = command("run", "small.toml", cwd=tmp_path)
    assert "pass in" in result.stdout.splitlines()[-1]
    assert "nothing lost, nothing doubled" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "percpu-emu: nothing: no scenario of that name; give the path of a file, or a name"),
        (["run", "dying-cgroup"], "dying-cgroup: no scenario of that name; did you mean dying-cgroups?"),
        (["run", "scenarios"], "scenarios: it is a folder; give the path of a scenario file, such as scenarios/"),
        (["run", "dying-cgroups", "--cpus", "0"], "--cpus 0: machine.cpus: found 0, allowed: greater than or equal to"),
        (
            ["run", "dying-cgroups", "--protocol", "patched", "--protocol", "patched"],
            "protocols: found patched twice, allowed: each protocol once",
        ),
        (["run", "dying-cgroups", "--cpus", "2", "--nodes", "3"], "3 nodes need at least as many CPUs"),
        (
            ["run", "dying-cgroups", "--protocol", "none"],
            "protocols[0]: found 'none', allowed: 'original', 'patched' or 'patch-2022'",
        ),
        (
            ["run", "dying-cgroups", "--protocol", "patchd"],
            "protocols[0]: found 'patchd', allowed: 'original', 'patched' or 'patch-2022'; did you mean patched",
        ),
        (["run", "dying-cgroups", "--kernel", "linux-6.2"], "or a path; did you mean linux-6."),
        (["run", "scenarios/hotplg.toml"], "there is no such file; did you mean hotplug.toml"),
        (["replay", "hotplug:11.abcd", "--scenario", "dying-cgroup"], "did you mean dying-cgroups?"),
        (["explore", "flush-then-swp"], "flush-then-swp: no scenario of that name; did you mean flush-then-swap"),
        (["explore", "flush-then-swap", "--strategy", "exaustive"], "random; did you mean exhaustive?"),
        (["run", "dying-cgroups", "--kernel", "linux-9"], "machine.kernel: found 'linux-9', allowed: linux-5.0-mmotm"),
        (["show", "nothing"], "nothing is named 'nothing'; give a name that ships (`percpu-emu list` shows all)"),
        (["show", "chrge"], "nothing is named 'chrge'; did you mean charge?"),
        (["schema", "nothing"], "no schema of 'nothing'; there are: scenario, report"),
    ],
)
def test_wrong_input_is_told_in_a_line_with_exit_code_2(arguments: list[str], message: str) -> None:
    result = command(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_wrong_input_with_json_is_an_object_too() -> None:
    result = command("run", "nothing", "--json")
    assert result.returncode == 2
    report = Report.model_validate(json.loads(result.stdout))
    assert report.verdict == "inconclusive"
    assert report.error is not None
    assert report.error.kind == "input"


def test_a_worker_outside_the_language_is_refused_with_file_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from percpu_emu.lang.ops import read_once\n\ndef mine(memcg, turn):\n    x = [1]\n    yield read_once(memcg)\n"
    )
    (tmp_path / "small.toml").write_text(SMALL.replace('"charge"', '"mine.py"'))
    result = command("run", "small.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert "mine.py:4: `[1]`: List is not part of the language" in result.stderr


def test_the_environments_failure_has_exit_code_3_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    limits = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12)); "
    run = "sys.argv[1:] = ['run', 'small.toml']; runpy.run_module('percpu_emu', run_name='__main__')"
    load_first = "import percpu_emu.cli.run; from percpu_emu.machine.signals import signals; signals(); "
    result = subprocess.run(
        [sys.executable, "-c", load_first + limits + run], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 3, result.stderr
    assert "Too many open files" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("of", SCHEMAS)
def test_the_shipped_schemas_are_up_to_date(of: str) -> None:
    current = {"scenario": json_schema, "report": report_schema}[of]()
    assert json.loads(schema_text(of)) == current
    assert json.loads(command("schema", of).stdout) == current


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("release-storm", ["  __mod_memcg_state:3 (line ", "  percpu_rcu_free:1 (line ", "  percpu_take:1 (line "]),
        ("interrupts-raw", ["Interrupts on every CPU: this_cpu_charge, 5000 a second and CPU, by timer"]),
        ("rcu-torture", ["  torture_reader:1 (line ", "  torture_callback:1 (line "]),
        ("store-buffering-mb", ["Outcome 0, 0 is forbidden: "]),
    ],
)
def test_show_lists_what_a_scenario_runs_with_all_injection_points(name: str, lines: list[str]) -> None:
    shown = command("show", name).stdout
    assert all(line in shown for line in lines), shown


def test_the_letter_stands_beside_a_run_of_its_own_size_only() -> None:
    resized = command("run", "dying-cgroups", "--cpus", "2", "--cgroups", "3").stdout
    assert "letter" not in resized.replace("the cover letter's test", "")
    assert "2 CPU processes, 1 NUMA node, kernel linux-5.0-mmotm, 3 cgroups" in resized
    assert "1000" not in resized


# --- the object stands alone on stdout

FINAL = """\
import os
from percpu_emu.lang.ops import atomic_long_add

def mine(memcg, turn):
    yield atomic_long_add(memcg, 1)

def final(state):
    {does}
"""
SCENARIO = """\
name = "mine"
summary = "a check of mine"
machine = {cpus = 1}

[explore]
programs = "mine.py"
final = "final"
contexts = [{program = "mine", cpus = [0], args = [65544, 0]}]
"""


@pytest.mark.parametrize(
    ("does", "code", "error"),
    [
        ("print('hello'); os.system('echo hello'); os.write(1, b'hello')", 0, None),
        ("raise SystemExit(0)", 2, "input"),
        ("raise ValueError('no')", 2, "input"),
        ("raise GeneratorExit", 2, "input"),
        ("raise type('Own', (BaseException,), {})(7)", 2, "input"),
        ("return 7", 2, "input"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
    ],
)
def test_whatever_a_check_does_there_is_one_object(does: str, code: int, error: str | None, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FINAL.format(does=does))
    (tmp_path / "mine.toml").write_text(SCENARIO)
    result = command("explore", "mine.toml", "--json", cwd=tmp_path)
    report = Report.model_validate(json.loads(result.stdout))
    assert (result.returncode, report.error and report.error.kind) == (code, error)
    assert result.stderr.count("hello") >= (3 if "hello" in does else 0)


def test_a_fault_of_our_own_is_an_object_and_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of our own")

    monkeypatch.setattr("percpu_emu.cli.searching.explore", at_fault)
    result = command("explore", "lost-increment", "--json", cwd=tmp_path)
    report = Report.model_validate(json.loads(result.stdout))
    assert (result.returncode, report.verdict) == (4, "inconclusive")
    assert report.error is not None
    assert (report.error.kind, "ZeroDivisionError: of our own" in report.error.message) == ("fault", True)
    assert "Traceback" in result.stderr
    assert "Traceback" in command("explore", "lost-increment", cwd=tmp_path).stderr


@pytest.mark.parametrize("arguments", [("explore", "--bogus"), ("explore",), ("nothing",), ("run", "x", "--cpus", "z")])
def test_a_wrong_command_line_with_json_is_an_object_too(arguments: tuple[str, ...]) -> None:
    result = command(*arguments, "--json")
    report = Report.model_validate(json.loads(result.stdout))
    assert (result.returncode, report.error and report.error.kind) == (2, "input")
    assert command(*arguments).returncode == 2
