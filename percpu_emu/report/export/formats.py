"""The formats in which a trace can be written, each with the ending of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from percpu_emu.report.export.mermaid import mermaid
from percpu_emu.report.export.perfetto import perfetto
from percpu_emu.report.export.shiviz import shiviz

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.lang.trace import Trace


@dataclass(frozen=True)
class Format:
    """How a trace is written for another tool."""

    name: str
    ending: str
    render: Callable[[Trace], str]
    reader: str
    """What opens the file."""


FORMATS: Final = (
    Format("perfetto", ".json", perfetto, "ui.perfetto.dev"),
    Format("shiviz", ".log", shiviz, "ShiViz"),
    Format("mermaid", ".mmd", mermaid, "Mermaid, or GitHub in Markdown"),
)
