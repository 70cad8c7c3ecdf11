"""A scenario in a file as a test: it passes where the scenario does, or fails exactly as it expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from percpu_emu.pytest_plugin.exploring import explored_by, from_here
from percpu_emu.scenario.finding import UNREADABLE, Place, scenarios_in


class ScenarioFile(pytest.File):
    """A file that may have scenarios for `explore`. One that has none gives no test. Nothing is executed."""

    def collect(self) -> Iterator[ScenarioItem]:
        """A test of each."""
        try:
            places = [entry.place for entry in scenarios_in(self.path) if entry.explored]
        except UNREADABLE as error:
            raise self.CollectError(f"{self.path}: cannot be read: {error}") from error
        yield from (ScenarioItem.from_parent(self, name=place.name, place=place) for place in places)


class ScenarioItem(pytest.Item):
    """The test of one scenario."""

    def __init__(self, *, place: Place, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.place = place

    def runtest(self) -> None:
        """Explore it. Raises ScenarioFailed, and what `percpu_emu.explore` raises."""
        place = replace(self.place, path=from_here(self.place.path))
        explored_by(self, str(place), {}).raise_for_verdict()

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
