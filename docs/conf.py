"""How Sphinx makes a site of the pages: `sphinx-build -W -b html docs site`. A dead link is a warning, and -W fails."""

from __future__ import annotations

from typing import Any

from pygments.lexers import TextLexer

project = "percpu-emu"
html_title = project
html_theme = "alabaster"
html_theme_options = {"page_width": "1280px", "body_max_width": "auto"}  # what a terminal of 110 columns prints fits
html_show_copyright = False
extensions = ["myst_parser"]
myst_heading_anchors = 4


def setup(app: Any) -> None:
    """Mermaid's diagrams are shown as their text."""
    app.add_lexer("mermaid", TextLexer)
