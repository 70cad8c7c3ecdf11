"""Golden files: what a rendering gave when a person last looked at it.

    PERCPU_EMU_REWRITE_GOLDEN=1 python -m pytest tests/report

writes them anew; then read the difference (`git diff tests/report/golden`) before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Compare with the golden file of that name, or write it."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("PERCPU_EMU_REWRITE_GOLDEN"):
        path.write_text(text)
    assert path.exists(), f"{path} is missing: run with PERCPU_EMU_REWRITE_GOLDEN=1 and read what it writes"
    assert text == path.read_text()
