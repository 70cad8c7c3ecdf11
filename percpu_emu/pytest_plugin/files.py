"""A scenario file as a test: it passes where the scenario does, or fails exactly as it expects."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from percpu_emu.pytest_plugin.exploring import explored_by, from_here


class ScenarioFile(pytest.File):
    """A TOML file. One without a name and a table `explore` is no scenario for a search, and gives no test."""

    def collect(self) -> Iterator[ScenarioItem]:
        """The test."""
        try:
            document = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self.CollectError(f"{self.path}: cannot be read as TOML: {error}") from error
        if "explore" in document and isinstance(document.get("name"), str):
            yield ScenarioItem.from_parent(self, name=document["name"])


class ScenarioItem(pytest.Item):
    """The test of one scenario."""

    def runtest(self) -> None:
        """Explore it. Raises ScenarioFailed, and what `percpu_emu.explore` raises."""
        explored_by(self, from_here(self.path), {}).raise_for_verdict()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What is wrong with the scenario, without the traceback of the plugin."""
        from percpu_emu.api.errors import Error
        from percpu_emu.api.result import ScenarioFailed

        if isinstance(excinfo.value, Error | ScenarioFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is."""
        return self.path, None, self.name
