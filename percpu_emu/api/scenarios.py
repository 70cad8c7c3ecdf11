"""What a user gives as a scenario, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from percpu_emu.scenario.decorator import DeclaredScenario
from percpu_emu.scenario.load import Loaded, load

Scenario: TypeAlias = str | Path | DeclaredScenario
"""The name of one that ships, the path of a file, or what `@scenario` declares, in a file or in this session."""


def loaded(scenario: Scenario, overrides: Mapping[str, Any]) -> Loaded:
    """The scenario, with some keys replaced. Raises ScenarioError, and TypeError for what is none."""
    return load(name_of(scenario), overrides)


def name_of(scenario: Scenario) -> str | DeclaredScenario:
    """A scenario as the command line names it, or as declared. A Path never means a scenario that ships."""
    if isinstance(scenario, Path):
        return str(scenario) if "/" in str(scenario) else f"./{scenario}"
    if isinstance(scenario, str | DeclaredScenario):
        return scenario
    raise TypeError(f"a scenario is a name, a path or what @scenario declares, not {type(scenario).__name__}")
