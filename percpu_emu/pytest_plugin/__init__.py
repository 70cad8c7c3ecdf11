"""The pytest plugin: scenario files as tests, and `explored`, the result of the scenario that a marker names.

Every pytest session imports it, so it imports what explores only when it explores.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from percpu_emu.api.limits import DEPTH, MEGABYTES, SCHEDULES, SECONDS
from percpu_emu.pytest_plugin.exploring import RESULT, beside, explored_by
from percpu_emu.pytest_plugin.files import ScenarioFile
from percpu_emu.pytest_plugin.kept import keep
from percpu_emu.scenario.finding import ENDINGS

if TYPE_CHECKING:
    from percpu_emu.api.result import Result

_STRATEGY: Final = "exhaustive"
_MARKER: Final = "explore(scenario, **keywords): what the fixture explored explores; keywords as of percpu_emu.explore"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("percpu-emu", "scenarios of percpu-emu")
    group.addoption(
        "--percpu-emu", action="store_true", help="Make a test of every scenario that a file has for explore."
    )
    group.addoption(
        "--percpu-emu-strategy",
        default=_STRATEGY,
        metavar="STRATEGY",
        help="exhaustive (default), preemptions, pct or random, where a marker does not say.",
    )
    group.addoption(
        "--percpu-emu-seconds",
        type=float,
        default=SECONDS,
        metavar="SECONDS",
        help="Time limit of each scenario, where a marker does not say; met, the test fails as inconclusive.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker, and refuse wrong options before anything is collected."""
    config.addinivalue_line("markers", _MARKER)
    strategy, seconds = config.getoption("--percpu-emu-strategy"), config.getoption("--percpu-emu-seconds")
    if (strategy, seconds) != (_STRATEGY, SECONDS):
        _refuse_wrong_options(strategy, seconds)


def _refuse_wrong_options(strategy: str, seconds: float) -> None:
    from percpu_emu.api.errors import WrongOption
    from percpu_emu.api.options import search_options

    spelled = {"strategy": "--percpu-emu-strategy", "seconds": "--percpu-emu-seconds"}
    try:
        search_options(strategy, None, DEPTH, SCHEDULES, seconds, MEGABYTES, None, reduce=True, spelled=spelled)
    except WrongOption as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """With the option `--percpu-emu`, every TOML and Python file is looked at."""
    if file_path.suffix not in ENDINGS or not parent.config.getoption("--percpu-emu"):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Keep the schedule that a test fails by; forget that of a test that passes."""
    result = item.stash.get(RESULT, None)
    if call.when == "call" and result is not None:
        failed = call.excinfo is not None and not result.ok
        keep(item, result.counterexample.token if failed and result.counterexample else None)


@pytest.fixture
def explored(request: pytest.FixtureRequest) -> Result:
    """The result of exploring the scenario that the test's marker `explore` names. It raises nothing for a failure.

    A relative path begins at the folder of the test's file.
    """
    marker = request.node.get_closest_marker("explore")
    if marker is None or len(marker.args) != 1:
        pytest.fail('explored needs the marker @pytest.mark.explore("name or path of a scenario")', pytrace=False)
    return explored_by(request.node, beside(marker.args[0], request.path.parent), marker.kwargs)
