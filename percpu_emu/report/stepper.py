"""A trace as one HTML file in which a person steps forwards and backwards. It loads nothing and sends nothing."""

from __future__ import annotations

import html as escaping
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from percpu_emu.report.glossary import meanings
from percpu_emu.report.trace_json import trace_dict

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

_TEMPLATE: Final = "stepper.html"


def html(trace: Trace) -> str:
    """The whole file. `#12` at the end of its address opens it after step 12."""
    template = (files(__package__ or "percpu_emu.report") / _TEMPLATE).read_text(encoding="utf-8")
    data = json.dumps({**trace_dict(trace), "glossary": meanings()}, ensure_ascii=False, separators=(",", ":"))
    head, tail = template.split("@DATA@")
    return head.replace("@TITLE@", escaping.escape(trace.scenario)) + script_safe(data) + tail


def script_safe(data: str) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
