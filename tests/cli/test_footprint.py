"""`percpu-emu footprint`, and what docs/footprint.md shows of it.

    PERCPU_EMU_REWRITE_GOLDEN=1 python -m pytest tests/cli/test_footprint.py

writes the page's blocks anew.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from percpu_emu.kernel.footprint import NEVER, footprint
from percpu_emu.kernel.profile import load_profile
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.report.result import Report
from percpu_emu.scenario.footprint import RELEASES

from .commands import command

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the account
PAGE = Path(__file__).parents[2] / "docs" / "footprint.md"
SHOWN = re.compile(r"```sh\n(percpu-emu footprint [^\n]*)\n```\n\n```text\n(.*?)```\n", re.DOTALL)
COMMANDS = [line for line, _ in SHOWN.findall(PAGE.read_text(encoding="utf-8"))]
WIDTH = "110"


def report(*arguments: str) -> Report:
    found = command("footprint", *arguments, "--json")
    return Report.model_validate_json(found.stdout)


def printed(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command prints, without the time it took; of a sweep the table only."""
    monkeypatch.setenv("COLUMNS", WIDTH)
    found = command(*shlex.split(line)[1:])
    assert found.returncode == 0, found.stderr
    text = re.sub(r" in [0-9.]+ s\n$", "\n", re.sub(r" +\n", "\n", found.stdout))
    if "--sweep" not in line:
        return text
    table = re.search(r"^MB in all.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert table is not None, text
    return f"{table[0].rstrip()}\n"


@pytest.mark.parametrize("line", COMMANDS)
def test_the_page_shows_what_the_command_prints(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(line, monkeypatch)
    if os.environ.get("PERCPU_EMU_REWRITE_GOLDEN"):
        page = PAGE.read_text(encoding="utf-8")
        block = f"```sh\n{line}\n```\n\n```text\n{text}```\n"
        anew = SHOWN.sub(lambda found: block if found[1] == line else found[0], page)
        PAGE.write_text(anew, encoding="utf-8")
    assert (line, text) in SHOWN.findall(PAGE.read_text(encoding="utf-8"))


def test_the_page_shows_a_plan_and_sweeps_of_cpus_nodes_and_lag() -> None:
    sweeps = [re.findall(r"--sweep (\w+)", line) for line in COMMANDS]
    assert sorted(map(str, sweeps)) == ["['cpus']", "['lag']", "['nodes']", "[]"]


def test_the_figures_are_those_of_the_account() -> None:
    found = report("--kernel", "5.0-mmotm")
    assert (found.verdict, found.scope["kernel"]) == ("pass", "linux-5.0-mmotm")
    for protocol, lag in (("original", NEVER), ("patched", 1), ("patch-2022", 1)):
        account = footprint(load_profile("linux-5.0-mmotm"), (32,), 1000, lag)
        assert found.figures[protocol]["after"]["percpu_kb"] == account.after.percpu_kb
        grown = account.after.percpu_kb + account.after.slab_kb - account.before.percpu_kb - account.before.slab_kb
        assert found.figures[protocol]["grown_kb"] == grown
        assert found.figures[protocol]["kb_per_dying_cgroup"] == pytest.approx(grown / 1000, abs=0.01)
    assert found.figures["original"]["after"]["percpu_kb"] == 64128
    assert found.figures["patched"]["after"]["percpu_kb"] == 26880


def test_the_protocols_are_those_of_run() -> None:
    assert {name: protocol.release is not None for name, protocol in PROTOCOLS.items()} == RELEASES


def test_a_kernel_is_known_with_and_without_linux_before_it() -> None:
    one, other = (report("--kernel", name, "--cgroups", "10").figures for name in ("6.1", "linux-6.1"))
    assert one == other


def test_a_sweep_has_rows_also_as_csv(tmp_path: Path) -> None:
    found = report("--sweep", "cpus=4..20", "--cgroups", "50", "--csv", str(tmp_path / "rows.csv"))
    assert [row["cpus"] for row in found.figures["sweep"]] == [4, 8, 16, 20]
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [{**row, "kernel": "linux-6.1"} for row in rows] == [
        {"kernel": "linux-6.1", **{key: str(value) for key, value in row.items()}} for row in found.figures["sweep"]
    ]


def test_a_kernel_whose_sizes_are_not_verified_is_said_to_be_so() -> None:
    found = report("--kernel", "5.12", "--cgroups", "10")
    assert found.verdict == "pass"
    assert [check.ok for check in found.checks if check.name == "the sizes are verified"] == [None]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kernel", "6.11"], "did you mean linux-6.1"),
        (["--sweep", "cpus=4096..16384"], "--cpus 16384: 1 to 8192"),
        (["--plot", "out.svg"], "--plot draws a sweep"),
        (["--plot", "out.pdf", "--sweep", "cpus=1..2"], "ends in .svg or .png"),
        (["--csv", "no/such/folder.csv"], "there is no folder"),
    ],
)
def test_a_wrong_question_is_refused_with_what_is_allowed(arguments: list[str], said: str) -> None:
    found = command("footprint", *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr


def test_a_picture_has_title_units_legend_and_source_and_comes_out_the_same_again(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    found = report("--sweep", "nodes=1..4", "--cgroups", "100", "--plot", str(one))
    draw = importlib.import_module("percpu_emu.report.footprint_plot").draw
    draw(found, other)
    text = " ".join(ElementTree.fromstring(one.read_text()).itertext())
    for words in (
        "What dying memory cgroups cost: 32 possible CPUs, 100 dying cgroups",
        "Slab and Percpu of the dying cgroups, MB",
        "NUMA nodes",
        "original",
        "patched, patch-2022",
        "--sweep nodes=1..4",
        "linux-6.1",
    ):
        assert words in text
    assert one.read_text() == other.read_text()
    draw(found, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found = command("footprint", "--sweep", "cpus=1..2", "--plot", str(tmp_path / "a.svg"))
    assert found.returncode == 3
    assert "pip install 'percpu-emu[plot]'" in found.stderr
    assert not list(tmp_path.iterdir())


def test_an_object_without_a_result_says_why() -> None:
    found = command("footprint", "--kernel", "6.11", "--json")
    assert found.returncode == 2
    assert json.loads(found.stdout)["error"]["kind"] == "input"
