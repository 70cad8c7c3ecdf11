"""A scenario in a file as a test: it passes where the scenario does, or fails exactly as it expects."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from percpu_emu.pytest_plugin.exploring import explored_by, from_here
from percpu_emu.scenario.finding import SEPARATOR, declared_in


class ScenarioFile(pytest.File):
    """A file that may have scenarios: TOML with a name and a table `explore`, Python with functions under `@scenario`.

    Any other file gives no test. Nothing is executed.
    """

    def collect(self) -> Iterator[ScenarioItem]:
        """A test of each."""
        try:
            names = self._declared() if self.path.suffix == ".py" else self._in_toml()
        except (OSError, ValueError, SyntaxError, RecursionError) as error:
            raise self.CollectError(f"{self.path}: cannot be read: {error}") from error
        yield from (ScenarioItem.from_parent(self, name=name) for name in names)

    def _declared(self) -> list[str]:
        return list(declared_in(self.path))

    def _in_toml(self) -> list[str]:
        document = tomllib.loads(self.path.read_text(encoding="utf-8"))
        name = document.get("name")
        return [name] if "explore" in document and isinstance(name, str) else []


class ScenarioItem(pytest.Item):
    """The test of one scenario."""

    def runtest(self) -> None:
        """Explore it. Raises ScenarioFailed, and what `percpu_emu.explore` raises."""
        path = from_here(self.path)
        scenario = f"{path}{SEPARATOR}{self.name}" if path.suffix == ".py" else path
        explored_by(self, scenario, {}).raise_for_verdict()

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
