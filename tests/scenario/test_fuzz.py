"""Bad input: each ends with a clear error or as a valid scenario, never with a traceback, a hang or a leftover."""

from __future__ import annotations

import gc
import io
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hypothesis
import pytest
from rich.console import Console
from typer.testing import CliRunner

from percpu_emu.bundled import bundled
from percpu_emu.cli.errors import _classify
from percpu_emu.cli.main import app
from percpu_emu.explore.room import with_room
from percpu_emu.lang.image import Image
from percpu_emu.machine.config import _image
from percpu_emu.machine.faults import parse_fault, points_of
from percpu_emu.report.exploration_report import print_explored
from percpu_emu.report.result import Report
from percpu_emu.report.terminal import print_report
from percpu_emu.scenario.load import Loaded, ScenarioError, load
from percpu_emu.scenario.schema import Scenario
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.scenario.verdict import exit_code

from . import fuzzing

pytestmark = [
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # of an input of many kilobytes
    pytest.mark.timeout(360),
]
SECONDS_AN_INPUT = 5
SECONDS_A_RUN = 90
LONGEST_MESSAGE = 8000


class Hangs(BaseException):
    """An input has taken too long; no handler of errors takes it for one."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """A limit of time for one input."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise Hangs(f"after {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundled files of programs, for scenarios that name them."""
    there = tmp_path_factory.mktemp("fuzz")
    for path in bundled("scenarios").rglob("*.py"):
        shutil.copy(path, there / path.name)
    refuse_before_start(load("flush-then-swap"))  # which compiles what is compiled once on a machine
    return there


PLACE = "|".join([*Scenario.model_fields, "the whole file", "not TOML", "cannot be read", "not for run"])
ALLOWED = (
    "allowed|did you mean|cannot be loaded|has no program|takes|more problems|too deep|missing|needs?|given|leads out|"
    "no such file|no CPU|not TOML|cannot be read"
)


def assert_clear(error: Exception, source: str) -> None:
    """The message is one for a person: where, what was found, what is allowed; printable, and not endless."""
    assert _classify(error) is not None, repr(error)
    message = str(error)
    assert 0 < len(message) <= LONGEST_MESSAGE, message
    assert "\n".join(message.splitlines()).replace("\n", "").isprintable(), repr(message)
    if isinstance(error, ScenarioError):
        for line in message.splitlines():
            assert re.match(
                rf"{re.escape(source)}: ({PLACE}|and \d+ more)|{re.escape(source)}: [^:]+: unknown key", line
            ), line
            assert re.search(ALLOWED, line), line


images: dict[tuple[str, ...], Image] = {}


def refuse_before_start(loaded: Loaded) -> None:
    """What is refused of a scenario that could be loaded, before anything starts."""
    scenario = loaded.scenario
    if scenario.steps:
        faults = [parse_fault(line) for line in scenario.faults.inject]
        key = tuple(program.__name__ for program in (*loaded.workers, *loaded.interrupts))
        if key not in images:  # each takes half a second to make, and all that are named here ship
            images[key] = _image(tuple(loaded.workers), (), tuple(loaded.interrupts), instrumented=True)
        for fault in faults:
            points_of(fault, images[key].sites)
    elif scenario.explore is not None:
        subject = subject_of(loaded)
        with_room(subject.setting, subject.checks, lambda model: model)


outcomes: Counter[str] = Counter()


@fuzzing.fuzzed(400)
@hypothesis.given(data=fuzzing.documents())
def test_a_mutated_scenario_file_is_loaded_or_refused_clearly(folder: Path, data: bytes) -> None:
    path = folder / "mine.toml"
    path.write_bytes(data)
    with limited(SECONDS_AN_INPUT):
        try:
            loaded = load(str(path))
            outcomes["loaded"] += 1
            refuse_before_start(loaded)
            outcomes["ready"] += 1
        except Exception as error:
            outcomes[type(error).__name__] += 1
            assert_clear(error, str(path))


@fuzzing.fuzzed(400)
@hypothesis.given(line=fuzzing.injections())
def test_a_mutated_fault_is_placed_or_refused_clearly(line: str) -> None:
    with limited(SECONDS_AN_INPUT):
        try:
            loaded = load("release-storm", {"faults.inject": [line]})
            outcomes["fault understood"] += 1
            refuse_before_start(loaded)
            outcomes["fault placed"] += 1
        except Exception as error:
            outcomes[f"fault: {type(error).__name__}"] += 1
            source = error.source if isinstance(error, ScenarioError) else "--inject "
            assert_clear(error, source if source.startswith("--inject ") else "the options")


def ran(*arguments: str) -> Report:
    """What the command line says, which ends in time and with one object."""
    with limited(SECONDS_A_RUN):
        result = CliRunner().invoke(app, [*arguments, "--json"])
    if isinstance(result.exception, BaseException) and not isinstance(result.exception, SystemExit):
        raise result.exception
    report = Report.model_validate_json(result.stdout)
    if report.error is not None:
        assert (report.error.kind, result.exit_code) in {("input", 2), ("failed", 1)}, report.error
    else:
        assert result.exit_code == exit_code(report.verdict, report.as_expected), report
    outcomes[f"{arguments[0]}: {report.error.kind if report.error else report.verdict}"] += 1
    print_anyway(report, arguments[1])
    return report


def print_anyway(report: Report, path: str) -> None:
    """As a person would have seen it."""
    console = Console(file=io.StringIO())
    if report.error is None and report.command == "explore":
        print_explored(console, report, "[/red]")
    elif report.error is None:
        print_report(console, report, load(path))


@pytest.mark.timeout(600)  # the first run compiles its programs
@fuzzing.fuzzed(10, runs=True)
@hypothesis.given(data=fuzzing.runnable(all_workers=fuzzing.campaign()))
def test_a_small_scenario_is_run_or_refused_and_nothing_is_left(folder: Path, data: bytes) -> None:
    path = folder / "mine.toml"
    path.write_bytes(data)
    before = children()
    ran("run", str(path))
    assert children() == before
    gc.collect()  # a segment is mapped until its arrays are collected
    assert not [
        link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and "memfd:" in str(link.readlink())
    ]


@pytest.mark.timeout(600)
@fuzzing.fuzzed(20, runs=True)
@hypothesis.given(data=fuzzing.explorable())
def test_a_mutated_scenario_is_explored_or_refused(folder: Path, data: bytes) -> None:
    path = folder / "mine.toml"
    path.write_bytes(data)
    ran("explore", str(path), "--max-seconds", "1", "--max-schedules", "20000", "--max-megabytes", "200")


def children() -> set[str]:
    return {pid for listed in Path("/proc/self/task").glob("*/children") for pid in listed.read_text().split()}
