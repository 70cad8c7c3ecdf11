"""Pages that are complete in one file: a template from `page/`, and what stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files


def page_file(name: str) -> str:
    """The text of a file of `page/`."""
    return (files("percpu_emu.report") / "page" / name).read_text(encoding="utf-8")


def filled(template: str, parts: Mapping[str, str]) -> str:
    """The template of that name with each `@PART@` replaced. What a part holds is not looked at again."""
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], page_file(template))
