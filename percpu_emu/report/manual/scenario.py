"""The keys of scenario files, from the models in `scenario.schema`."""

from __future__ import annotations

import inspect
from typing import Final, get_args

from percpu_emu.report.manual.markdown import code, page
from percpu_emu.report.manual.models import Place, keys_table, places
from percpu_emu.scenario.schema import ContextPart, ExplorePart, OutcomePart, Scenario

_EXPLORED: Final = (ExplorePart, ContextPart, OutcomePart)
_ABOUT: Final = (
    "A scenario file is TOML. An unknown key, a value of another type and a value that is not allowed are refused with "
    "exit code 2 before anything starts. `percpu-emu schema` prints the JSON Schema."
)


def scenario_page() -> str:
    """Every table of a scenario file but those of `explore`."""
    sections = [section(place) for place in places(Scenario) if place.model not in _EXPLORED]
    return page("Scenario files", _ABOUT, *sections, "The tables of `explore`: `percpu-emu help explore-table`.")


def explore_page() -> str:
    """The table `explore` with its contexts, and the outcomes of rounds."""
    sections = [section(place) for place in places(Scenario) if place.model in _EXPLORED]
    return page("The tables of explore", *sections)


def section(place: Place) -> str:
    """One table of a file: where it stands, what it is, and its keys."""
    text = " ".join((inspect.getdoc(place.model) or "").split())
    return "\n\n".join([f"## {_title(place)}", text, keys_table(place.model)])


def _title(place: Place) -> str:
    if not place.path:
        return "The file"
    if (step := place.model.model_fields.get("do")) is not None:
        return f"The step {code(get_args(step.annotation)[0])}"
    return code(f"[[{place.path}]]" if place.of_list else f"[{place.path}]")
