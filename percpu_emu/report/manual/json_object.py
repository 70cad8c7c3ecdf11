"""The object that `--json` prints, from the models in `report.result`."""

from __future__ import annotations

import inspect

from percpu_emu.report.manual.markdown import code, page
from percpu_emu.report.manual.models import Place, keys_table, places
from percpu_emu.report.result import Report


def json_page() -> str:
    """Every field of a report and of the objects inside."""
    text = (
        "One object stands alone on stdout, whatever happens. `percpu-emu schema report` prints its JSON Schema. "
        "A table is an object of JSON."
    )
    return page("The JSON object", text, *[_section(place) for place in places(Report)])


def _section(place: Place) -> str:
    title = code(place.path + "[]" * place.of_list) if place.path else "The object"
    return "\n\n".join([f"## {title}", inspect.getdoc(place.model) or "", keys_table(place.model)])
