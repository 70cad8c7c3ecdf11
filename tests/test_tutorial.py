"""docs/tutorial.md is true: its files are written, its commands run, and the lines that it shows are printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.commands import command

pytestmark = pytest.mark.timeout(360)  # the first of the commands compiles the search
TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = re.compile(r"\b\d+\.\d+ s\b")


@dataclass(frozen=True)
class Block:
    """A block of the tutorial: a file, one function of a file that is there, or commands with what they print."""

    language: str
    file: str
    function: str
    text: str


def blocks() -> list[Block]:
    return [Block(*match.groups(default="")) for match in BLOCK.finditer(TUTORIAL.read_text())]


def commands_of(block: Block) -> list[tuple[list[str], list[str]]]:
    """Each command with the lines that it shows."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [(line.split(), shown.splitlines()) for line, _, shown in (part.partition("\n") for part in parts)]


def write(block: Block, folder: Path) -> None:
    """Write a file, or put a function in the place of the one of that name."""
    path = folder / block.file
    if not block.function:
        path.write_text(block.text)
        return
    old = re.compile(rf"^def {block.function}\(.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
    text, times = old.subn(lambda _: block.text, path.read_text())
    assert times == 1, block.function
    path.write_text(text)


def shown_in_order(shown: list[str], printed: str) -> bool:
    lines = iter(SECONDS.sub("N s", printed).splitlines())
    return all(any(line.rstrip().startswith(SECONDS.sub("N s", wanted).rstrip()) for line in lines) for wanted in shown)


def test_the_tutorial_does_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, done = 0, 0
    for block in blocks():
        if block.language != "console":
            write(block, tmp_path)
            continue
        for words, shown in commands_of(block):
            if words == ["echo", "$?"]:
                assert shown == [str(code)], block.text
                continue
            assert words[0] == "percpu-emu"
            result = command(*words[1:], cwd=tmp_path)
            code, done = result.returncode, done + 1
            assert shown_in_order(shown, result.stdout + result.stderr), f"{block.text}\n{result.stdout}{result.stderr}"
    assert done == 7


WAIT = "    yield synchronize_rcu()  # from here on no section holds the old pointer\n"
SUM = "    x = 0\n    for cpu in range(NR_CPUS):\n        x += yield read_once(per_cpu(slots.slot, cpu))\n"


@pytest.mark.parametrize(("old", "new"), [("BIAS = 1 << 62", "BIAS = 0"), (WAIT + SUM, SUM + WAIT)])
def test_what_the_tutorial_asks_the_reader_to_break_is_broken(tmp_path: Path, old: str, new: str) -> None:
    for block in blocks():
        if block.language != "console":
            write(block, tmp_path)
    path = tmp_path / "refcount.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    result = command("explore", "refcount.py", cwd=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "FAILED" in result.stdout


def test_a_line_that_is_not_printed_would_be_noticed() -> None:
    printed = "a 1\nb in 2.50 s\nc\n"
    assert shown_in_order(["a", "b in 0.10 s"], printed)
    assert not shown_in_order(["b in 0.10 s", "a"], printed)
    assert not shown_in_order(["d"], printed)
