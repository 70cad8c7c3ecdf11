"""Paths as CI systems want them: from the folder of the command where that is above, as a repository has them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def from_root(file: str, root: Path) -> str:
    """The path from a folder, or an absolute one where the file lies elsewhere."""
    path = Path(os.path.normpath(root / file))
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def uri(file: str, root: Path) -> str:
    """The same as a URI reference."""
    path = from_root(file, root)
    return f"{'file://' if path.startswith('/') else ''}{quote(os.fsencode(path))}"
