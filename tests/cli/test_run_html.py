"""`run --html FILE`: a page of a run that passes, too; what cannot be written is refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.html_tree import named, text, tree

from .commands import command

pytestmark = pytest.mark.timeout(300)  # the first run on a machine compiles
NAME = "dying-cgroups"


def test_a_run_writes_its_page_beside_its_report(tmp_path: Path) -> None:
    words = ("run", NAME, "--cpus", "2", "--cgroups", "20", "--html", "my run.html", "--json")
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["notes"][-1] == "my run.html: open it in a browser"
    page = tree((tmp_path / "my run.html").read_text(encoding="utf-8"))
    assert f"percpu-emu {' '.join(words[:-3])} --html 'my run.html' --json" in text(named(page, "verdict"))
    rows = {text(next(row.iter("th"))): [text(cell) for cell in row.iter("td")] for row in page.iter("tr")}
    assert {check["name"]: ["ok", check["detail"]] for check in report["checks"]}.items() <= rows.items()
    for name, shown in (("after: percpu_kb", ("after", "percpu_kb")), ("end: slab_kb", ("end", "slab_kb"))):
        found = [figures[shown[0]][shown[1]] for figures in report["figures"].values()]
        assert [int(cell.replace(" ", "")) for cell in rows[name][:2]] == found
    assert [path.name for path in tmp_path.iterdir()] == ["my run.html"]


@pytest.mark.parametrize(
    ("file", "said"),
    [("no/run.html", "--html no/run.html: there is no folder no"), ("folder", "--html folder: it is a folder")],
)
def test_a_page_that_cannot_be_written_is_wrong_input_before_anything_runs(
    tmp_path: Path, file: str, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    done = command("run", NAME, "--html", file, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
