"""The columns of every shipped broken protocol at every usual width: nothing is wider, and nothing is lost."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.lang.trace import Trace
from percpu_emu.report.columns import columns
from percpu_emu.report.replay_line import folded_line, quoted

from . import golden
from .shipped import BROKEN, counterexample

WIDTHS = [40, 60, 72, 80, 100, 120]
pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@pytest.mark.parametrize("name", BROKEN)
def test_no_line_is_too_wide_and_no_text_is_lost(name: str) -> None:
    trace = counterexample(name)
    unfolded = texts(columns(trace, 10_000), trace)
    assert len(unfolded) > 1
    for width in WIDTHS:
        text = columns(trace, width)
        assert max(map(len, text.splitlines())) <= width
        assert texts(text, trace) == unfolded


@pytest.mark.parametrize("name", BROKEN)
def test_a_word_is_whole_where_its_lane_has_room_for_it(name: str) -> None:
    trace = counterexample(name)
    words = {word for text in step_lines(columns(trace, 10_000), trace).values() for word in " ".join(text).split()}
    for text in step_lines(columns(trace, 72), trace).values():
        short = [word for word in " ".join(text).split() if len(word) < 20]
        assert set(short) <= {part for word in words for part in (word, word.lstrip("."))} | set("|")


def test_the_columns_for_a_commit_message_are_as_they_were_last_read() -> None:
    golden.check("flush-then-swap-72", columns(counterexample("flush-then-swap"), 72))


def test_many_cpus_on_a_narrow_page_are_a_list() -> None:
    trace = counterexample("flush-then-swap")
    many = replace(trace, steps=[replace(step, cpu=number % 8) for number, step in enumerate(trace.steps)])
    text = columns(many, 60)
    assert "|" not in text
    assert "!! 2   CPU 1: read_once(per_cpu(slots.slot, cpu))" in text
    golden.check("eight-cpus-60", text)


def test_a_replay_line_in_several_lines_is_one_command() -> None:
    trace = replace(counterexample("flush-then-swap"), file="/tmp/it's a $(path)/" + "deeper/" * 9 + "mine \u00e9.toml")
    text = columns(trace, 40)
    lines = text[text.index("Replay: ") :].removeprefix("Replay: ")
    assert lines.count("\\\n") > 2
    assert words_of(lines) == ["percpu-emu", "replay", trace.token, "--scenario", trace.file]


@pytest.mark.parametrize("word", ["plain", "it's", "two words", "$(id)", "-x", "a\nb", "tab\there\\'", "\x1b[31m", "é"])
@pytest.mark.parametrize("width", [40, 60])
def test_bash_reads_the_word_that_was_quoted(word: str, width: int) -> None:
    words = ["percpu-emu", word, word * 20, "last"]
    assert words_of("\n".join(folded_line("", words, width))) == words
    assert words_of(" ".join(map(quoted, words))) == words


@given(st.lists(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=120), min_size=1, max_size=3))
def test_folding_keeps_the_width_and_the_words(words: list[str]) -> None:
    lines = folded_line("Replay: ", ["percpu-emu", *words], 40)
    assert max(map(len, lines)) <= 40
    joined = "\n".join(lines).removeprefix("Replay: ").replace("\\\n", "")
    assert shlex.split(joined) == ["percpu-emu", *words]


def words_of(command: str) -> list[str]:
    """The words that bash makes of a command's text."""
    script = f"percpu-emu() {{ printf '%s\\0' percpu-emu \"$@\"; }}\n{command}\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def texts(text: str, trace: Trace) -> dict[int, str]:
    """The text of each numbered line with those that go on with it, without spaces."""
    return {number: "".join("".join(lines).split()) for number, lines in step_lines(text, trace).items()}


def without_rails(line: str, starts: list[int]) -> str:
    """The line as far as its text goes, without the lines of the columns to the right."""
    while line.endswith(("|", " ")) and (line[-1] == " " or len(line) - 1 in starts):
        line = line[:-1]
    return line


def step_lines(text: str, trace: Trace) -> dict[int, list[str]]:
    """The same in lines, without the lines of other columns; where it is a list, without the CPU's name."""
    gutter = len(f"!! {len(trace.steps)}  ")
    body = text.partition("\n\n")[2].rpartition("\n\n")[0].splitlines()
    is_list = not re.match(r" +(CPU \d+|coordinator)( +(CPU \d+|coordinator))*$", body[0])
    starts = [0] if is_list else [found.start() - gutter for found in re.finditer(r"CPU \d+|coordinator", body[0])]
    cpus = sorted({step.cpu for step in trace.steps if step.cpu is not None})
    lanes = [*cpus, *([None] if any(step.cpu is None for step in trace.steps) else [])]
    found: dict[int, list[str]] = {}
    number = 0
    for line in body if is_list else body[1:]:
        numbered = re.match(r"(?:!!|->|  ) (\d+) ", line)
        if not line.strip() or (not numbered and not line.replace("|", "").strip()):
            continue
        number = int(numbered[1]) if numbered else number
        cpu = trace.steps[number - 1].cpu
        said = without_rails(line, [gutter + start for start in starts])[
            gutter + (0 if is_list else starts[lanes.index(cpu)]) :
        ]
        if is_list and numbered:
            said = re.sub(r"^(CPU \d+|coordinator): ?", "", said)
        found.setdefault(number, []).append(said)
    return found
