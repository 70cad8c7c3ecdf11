"""Exploring for a test: the schedule that it failed by first, then a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.pytest_plugin.kept import kept_token
from percpu_emu.scenario.finding import ENDINGS, SEPARATOR

if TYPE_CHECKING:
    from percpu_emu.api.result import Result
    from percpu_emu.api.scenarios import Scenario

RESULT: Final = pytest.StashKey["Result"]()
"""What a test explored."""
_OF_THE_SUBJECT: Final = ("cpus", "turns", "seed")
"""Keywords that say what is explored; the others say how."""


def explored_by(item: pytest.Item, scenario: Scenario, keywords: Mapping[str, Any]) -> Result:
    """The result of exploring a scenario with the keywords of `percpu_emu.explore`."""
    from percpu_emu.api.exploring import explore

    how = {
        "strategy": item.config.getoption("--percpu-emu-strategy"),
        "seconds": item.config.getoption("--percpu-emu-seconds"),
        **keywords,
    }
    result = _failed_again(item, scenario, keywords) or explore(scenario, **how)
    item.stash[RESULT] = result
    return result


def _failed_again(item: pytest.Item, scenario: Scenario, keywords: Mapping[str, Any]) -> Result | None:
    """The result of the schedule that the test failed by, where it still fails."""
    from percpu_emu.api.retrying import retry

    token = kept_token(item)
    if token is None:
        return None
    result = retry(token, scenario, **{key: value for key, value in keywords.items() if key in _OF_THE_SUBJECT})
    return None if result is None or result.ok else result


def beside(scenario: Scenario, folder: Path) -> Scenario:
    """A scenario, with a relative path taken from a folder."""
    if isinstance(scenario, Path):
        return from_here(folder / scenario)
    if not isinstance(scenario, str):
        return scenario
    file, separator, name = scenario.partition(SEPARATOR)
    is_a_path = "/" in file or file.endswith(ENDINGS)
    return f"{from_here(folder / file)}{separator}{name}" if is_a_path else scenario


def from_here(path: Path) -> Path:
    """The path from the working directory, where it is below: the command that replays a schedule has it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
