"""The pages for people: every link leads somewhere, and docs/how-to.md names nothing that does not exist."""

from __future__ import annotations

import re
import shlex
import typing
from pathlib import Path

import pytest
import typer

import percpu_emu
from percpu_emu.cli.catalogue import catalogue
from percpu_emu.cli.main import app
from percpu_emu.explore.strategies import Strategy
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.source import called, sites
from percpu_emu.machine.faults import parse_fault, points_of
from percpu_emu.report.manual import topics
from percpu_emu.scenario.schema import ExplorePart

ROOT = Path(__file__).parent.parent
HOW_TO = ROOT / "docs" / "how-to.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
OF_THE_READER = {"refcount.py", "hits.py"}


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(link: str, text: str, folder: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (folder / path).resolve() if path else None
    if target is not None and not target.exists():
        return False
    return not anchor or anchor in anchors(text if target is None else target.read_text())


def broken_links(text: str, folder: Path) -> list[str]:
    links = [link for link in LINK.findall(FENCED.sub("", text)) if not re.match(r"\w+:", link)]
    return [link for link in links if not leads_somewhere(link, text, folder)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    assert not broken_links(page.read_text(), page.parent)


def test_a_broken_link_would_be_noticed() -> None:
    text = "# One, two\n[a](#one-two) [b](#three) [c](nothing.md) [d](how-to.md#no) [e](how-to.md) [f](https://e.org)\n"
    assert broken_links(text, HOW_TO.parent) == ["#three", "nothing.md", "how-to.md#no"]


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    return [line.partition(" > ")[0] for block in blocks for line in block.splitlines()]


def parsed(line: str) -> tuple[str, dict[str, object]]:
    """The command and its parameters. Raises where an option or an argument is wrong."""
    program, name, *arguments = shlex.split(line)
    assert program == "percpu-emu"
    of_name = typing.cast("typing.Any", typer.main.get_command(app)).commands[name]
    return name, of_name.make_context(name, arguments).params


def known_to(command: str) -> set[str]:
    """The names that ship and that a command takes."""
    if command == "show":
        return {"glossary", *(name for kind in catalogue().values() for name in kind)}
    return set(catalogue()["scenarios"])


def unknown_names(text: str) -> list[str]:
    """Names behind `percpu-emu explore` and its like that nothing has; paths are of the reader's files."""
    found = re.findall(r"percpu-emu (explore|run|show|quiz) ([a-z][a-z0-9-]+)(?![\w./:-])", text)
    return [name for command, name in found if name not in known_to(command)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_scenario_that_a_page_names_exists(page: Path) -> None:
    assert not unknown_names(page.read_text())


def test_a_scenario_that_does_not_exist_would_be_noticed() -> None:
    text = "`percpu-emu explore no-such` $ percpu-emu run release-storm\npercpu-emu show mine.py"
    assert unknown_names(text) == ["no-such"]


@pytest.mark.parametrize("line", commands())
def test_every_command_of_how_to_parses_and_names_what_exists(line: str) -> None:
    command, given = parsed(line)
    if "topic" in given:
        assert given["topic"] in topics.names()
    if "token" in given:
        given["name"] = str(given["token"]).partition(":")[0]
    named = typing.cast("list[str]", [*filter(None, [given.get("name")]), *(given.get("names") or ())])  # type: ignore[misc]
    assert set(named) <= {*known_to(command), *OF_THE_READER}
    assert given.get("strategy", "exhaustive") in typing.get_args(Strategy)
    assert set(typing.cast("list[str]", given.get("protocol") or [])) <= set(PROTOCOLS)
    programs = [part for p in PROTOCOLS["patched"].programs for part in called(p, and_queued=True)]
    for fault in typing.cast("list[str]", given.get("inject") or []):
        assert points_of(parse_fault(fault), [site for program in programs for site in sites(program)])


def test_the_file_of_how_to_is_a_scenario_that_loses_a_hit(tmp_path: Path) -> None:
    block = re.search(r"^```python hits.py\n(.*?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    (tmp_path / "hits.py").write_text(block[1])
    example = percpu_emu.explore(tmp_path / "hits.py").counterexample
    assert example is not None
    assert (example.check, example.story[-1]) == ("final", "A hit is lost: Counter(hits=1).")


def test_a_command_that_does_not_parse_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed("percpu-emu explore refcount.toml --no-such-option")


def test_the_keys_that_how_to_recommends_exist() -> None:
    rows = re.findall(r"^\| [^`|]+ \| (.+) \|$", HOW_TO.read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) >= 10
    assert named <= {*ExplorePart.model_fields, *OPERATIONS}
