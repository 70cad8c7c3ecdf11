"""A trace as one HTML file in which a person steps forwards and backwards. It loads nothing and sends nothing."""

from __future__ import annotations

import html as escaping
import json
import re
from typing import TYPE_CHECKING, Final

from percpu_emu.report.glossary import meanings
from percpu_emu.report.one_file import filled, page_file
from percpu_emu.report.trace_json import trace_dict

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

_STYLES: Final = ("base.css", "stepper.css")
_MODULES: Final = ("dom.js", "stepper-state.js", "stepper.js")
"""Each imports only from those before it."""
_BETWEEN_MODULES: Final = re.compile(r"^(import .*\n|export )", re.MULTILINE)


def html(trace: Trace) -> str:
    """The whole file. `#12` at the end of its address opens it after step 12."""
    data = json.dumps({**trace_dict(trace), "glossary": meanings()}, ensure_ascii=False, separators=(",", ":"))
    parts = {
        "TITLE": escaping.escape(trace.scenario),
        "STYLE": "".join(map(page_file, _STYLES)),
        "SCRIPT": "".join(_BETWEEN_MODULES.sub("", page_file(name)) for name in _MODULES),
        "DATA": script_safe(data),
    }
    return filled("stepper.html", parts)


def script_safe(data: str) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
