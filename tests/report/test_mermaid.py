"""The diagram, line by line against the grammar of Mermaid's sequence diagrams, and decoded again."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.report.effects import effect, operation_text
from percpu_emu.report.export.mermaid import escaped, mermaid
from percpu_emu.report.story import closing
from percpu_emu.report.view import View

from . import golden
from .shipped import BROKEN, counterexample

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
TEXT = r"(?:[^;#\n]|#\d+;)+"
GRAMMAR = {
    "title": re.compile(rf"title (?P<text>{TEXT})"),
    "participant": re.compile(rf"participant (?P<who>p\d+) as (?P<text>{TEXT})"),
    "note": re.compile(rf"Note over (?P<who>p\d+(?:,p\d+)?): (?P<text>{TEXT})"),
    "arrow": re.compile(rf"(?P<who>p\d+)-\)(?P<to>p\d+): (?P<text>{TEXT})"),
    "rect": re.compile(r"rect rgba\(\d+, \d+, \d+, 0\.\d+\)"),
    "end": re.compile(r"end"),
}
HOSTILE = "a;b#c <b>&amp; %%{init}%% $$x$$ \\n end\nnext: style:#35;a; classDef x:y#z; \"q\" 'x' {y} `z`"


def parsed(trace: Trace) -> list[tuple[str, dict[str, str]]]:
    first, *lines = mermaid(trace).removesuffix("\n").split("\n")
    assert first == "sequenceDiagram"
    found = []
    for line in lines:
        kinds = [(kind, match) for kind, rule in GRAMMAR.items() if (match := rule.fullmatch(line.strip()))]
        assert len(kinds) == 1, line
        found.append((kinds[0][0], kinds[0][1].groupdict()))
    return found


def decoded(text: str) -> str:
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


def test_the_diagram_is_as_it_was_last_read() -> None:
    golden.check("flush-before-grace-period-mermaid", mermaid(counterexample("flush-before-grace-period")))


@pytest.mark.parametrize("name", BROKEN)
def test_every_line_fits_the_grammar_and_participants_come_before_their_use(name: str) -> None:
    declared: set[str] = set()
    open_rects = 0
    for kind, fields in parsed(counterexample(name)):
        if kind == "participant":
            assert fields["who"] not in declared
            declared.add(fields["who"])
        else:
            assert {*fields.get("who", "").split(","), fields.get("to", "")} - {""} <= declared
        open_rects += {"rect": 1, "end": -1}.get(kind, 0)
        assert open_rects in (0, 1)
    assert open_rects == 0


@pytest.mark.parametrize("name", BROKEN)
def test_every_step_has_its_note_or_is_counted_in_one(name: str) -> None:
    trace = counterexample(name)
    view = View(trace)
    notes = [re.sub("<br/>", "\n", fields["text"]) for kind, fields in parsed(trace) if kind == "note"]
    following = 0
    for note in notes[1 : -len(closing(trace))]:
        match = re.match(r"(?:!! |-> )?(\d+) (.*)", decoded(note), re.DOTALL)
        assert match
        assert int(match[1]) == following + 1
        fold = re.match(r"\.\.\. (\d+) steps", match[2])
        if fold is None:
            assert match[2] == "\n".join(filter(None, [operation_text(view, following), effect(view, following)]))
        following += int(fold[1]) if fold else 1
    assert following == len(trace.steps)


@pytest.mark.parametrize("name", BROKEN)
def test_the_steps_to_blame_are_marked_and_the_result_stands_at_the_end(name: str) -> None:
    trace = counterexample(name)
    notes = [decoded(fields["text"]) for kind, fields in parsed(trace) if kind == "note"]
    assert {int(found[1]) - 1 for note in notes if (found := re.match(r"!! (\d+)", note))} == View(trace).guilty
    assert {int(found[1]) - 1 for note in notes if (found := re.match(r"-> (\d+)", note))} == View(trace).victims
    assert [note.replace("<br/>", " ") for note in notes[-len(closing(trace)) :]] == closing(trace)
    assert sum(kind == "rect" for kind, _ in parsed(trace)) == len(View(trace).guilty | View(trace).victims)


def test_an_arrow_comes_before_the_step_that_it_leads_to() -> None:
    trace = counterexample("flush-before-grace-period")
    lines = parsed(trace)
    [at] = [number for number, (kind, _) in enumerate(lines) if kind == "arrow"]
    assert lines[at][1]["text"] == "step 11 ends the wait"
    assert lines[at + 1][1]["who"] == lines[at][1]["to"] != lines[at][1]["who"]
    assert decoded(lines[at + 1][1]["text"]).startswith("13 synchronize_rcu()")


def test_texts_that_mean_something_to_mermaid_are_shown_as_they_are() -> None:
    hostile = replace(counterexample("flush-then-swap"), scenario=HOSTILE, missing=HOSTILE)
    assert not re.search(r"(?:style|classDef).*:\S*#", mermaid(hostile))
    lines = parsed(hostile)
    assert decoded(lines[0][1]["text"]) == HOSTILE.replace("\n", " ")
    assert "Missing: a;b#c" in decoded(lines[-1][1]["text"])


@given(st.text())
def test_escaped_text_is_on_one_line_and_decodes_to_itself(text: str) -> None:
    found = escaped(text)
    assert decoded(found) == re.sub(r"\s+", " ", text)
    assert len(found.splitlines()) <= 1
    assert not re.search(r"[<>&%$]|:\S*#", found)
    assert not re.search(r"[;#]", re.sub(r"#\d+;", "", found))
