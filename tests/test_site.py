"""The site of the pages: Sphinx builds it without a warning, and a dead link fails it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
NEEDED = ("sphinx", "myst_parser")

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, NEEDED)), reason="the extra docs is not installed: pip install -e '.[docs]'"
)


def build(pages: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(pages), str(site)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_pages_make_a_site_without_a_warning(tmp_path: Path) -> None:
    done = build(DOCS, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    names = {str(page.relative_to(DOCS).with_suffix(".html")) for page in DOCS.rglob("*.md")}
    assert names <= {str(page.relative_to(tmp_path)) for page in tmp_path.rglob("*.html")}
    tutorial = (tmp_path / "tutorial.html").read_text(encoding="utf-8")
    assert "highlight-python" in tutorial
    assert "class Ref(Struct):" in re.sub(r"<[^>]+>", "", tutorial)


@pytest.mark.parametrize("link", ["nothing.md", "#nothing", "../nothing.toml", "index.md#nothing"])
def test_a_dead_link_fails_it(tmp_path: Path, link: str) -> None:
    pages = tmp_path / "docs"
    pages.mkdir()
    shutil.copy(DOCS / "conf.py", pages)
    (pages / "index.md").write_text(f"# A page\n\nIt has a [link]({link}).\n")
    done = build(pages, tmp_path / "site")
    assert done.returncode != 0
    assert "nothing" in done.stderr
