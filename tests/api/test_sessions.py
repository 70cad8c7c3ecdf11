"""A scenario that is declared at a prompt or in a notebook's cells, which no file holds."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import percpu_emu

pytestmark = pytest.mark.timeout(360)

HEAD = """\
import percpu_emu
from percpu_emu.program import *

class Count(Struct):
    word: Word
"""
OBJECT = "counter = Count()\n"
PROGRAM = """\
def count():
    x = yield read_once(counter.word)
    yield write_once(counter.word, x + 1)
"""
SCENARIO = """\
def all_counted(state):
    return None if state.at(counter).word == 2 else f"{state.at(counter)}"

@scenario(cpus=2, final=all_counted)
def both_count(m: Contexts):
    '''Two CPUs count in one word.'''
    m.task(count, cpu="all")
"""
Cell = Callable[[str], None]


class Session(dict[str, Any]):
    """The names of a session, and how it runs a cell: as IPython does, which keeps its text for `linecache`."""

    def run(self, *cells: str) -> Session:
        for text in cells:
            file = f"<cell {len(self)} of {id(self)}>"
            self[f"_{len(self)}"] = file
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
            code = compile(text, file, "exec", dont_inherit=True).replace(co_name="<cell line: 1>")
            exec(code, self)
        return self


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(__name__="__main__")
    yield made
    for file in made.values():
        linecache.cache.pop(file, None) if isinstance(file, str) else None


def test_a_session_explores_runs_and_replays_what_its_cells_declare(session: Session) -> None:
    session.run(HEAD, OBJECT, PROGRAM, SCENARIO, "result = percpu_emu.explore(both_count)")
    result = session["result"]
    assert (result.verdict, result.name, result.counterexample.check) == ("fail", "both-count", "final")
    assert "x = yield read_once(counter.word)" in result.counterexample.html()
    assert result.to_dict()["file"] == ""
    again = percpu_emu.replay(result.counterexample.token, session["both_count"])
    assert again.verdict == "pass"
    assert percpu_emu.run(session["both_count"], seconds=0.2).figures["rounds"] > 0


def test_the_replay_line_is_the_call_and_says_how_there_is_a_command(session: Session) -> None:
    session.run(HEAD, OBJECT, PROGRAM, SCENARIO, "example = percpu_emu.explore(both_count).counterexample")
    example = session["example"]
    call, *more = example.columns().partition("Replay: ")[2].splitlines()
    assert call == f'percpu_emu.replay("{example.token}", both_count)'
    assert eval(call, session).verdict == "pass"
    assert " ".join(" ".join(more).split()) == (
        "in this session; saved as a file, also: percpu-emu replay TOKEN --scenario FILE.py"
    )


def test_a_cell_that_runs_again_leaves_tokens_as_they_are(session: Session) -> None:
    session.run(HEAD, OBJECT, PROGRAM, SCENARIO, "tokens = {percpu_emu.explore(both_count).counterexample.token}")
    for _ in range(3):
        session.run(OBJECT, "tokens.add(percpu_emu.explore(both_count).counterexample.token)")
    assert len(session["tokens"]) == 1


def test_a_program_that_is_defined_anew_is_the_one_that_is_explored(session: Session) -> None:
    session.run(HEAD, OBJECT, PROGRAM, SCENARIO, "token = percpu_emu.explore(both_count).counterexample.token")
    session.run("def count():\n    yield atomic_long_add(counter.total, 1)\n")
    session.run("class Count(Struct):\n    total: AtomicLong\n    word: Word\n", OBJECT)
    session.run("def all_counted(state):\n    return None if state.at(counter).total == 2 else 'lost'\n")
    assert percpu_emu.explore(session["both_count"]).verdict == "pass"
    with pytest.raises(percpu_emu.WrongInput, match="made for other programs"):
        percpu_emu.replay(session["token"], session["both_count"])


def test_objects_of_two_variables_and_of_a_loop_never_share_words(session: Session) -> None:
    cell = "a = Count()\nb = Count(); c = Count()\nmany = []\nfor n in range(3):\n    d = Count()\n    many.append(d)\n"
    for _ in range(3):
        session.run(HEAD, cell, "e = Count()")
        objects = [session[name] for name in "abce"] + session["many"]
        assert len(set(map(int, objects))) == 7


def test_a_mistake_names_the_function_of_the_session(session: Session) -> None:
    session.run(HEAD, OBJECT, PROGRAM.replace("yield read_once", "read_once"), SCENARIO)
    with pytest.raises(percpu_emu.WrongInput, match=r"<cell .*:2: `read_once\(.*\)`: it is an operation: `yield` it"):
        percpu_emu.explore(session["both_count"])
    session.run(SCENARIO.replace("m.task(count", "m.task(all_counted"))
    with pytest.raises(percpu_emu.WrongInput, match=r"this session::both_count: explore.contexts\[0\].program"):
        percpu_emu.explore(session["both_count"])


def test_what_no_source_is_kept_of_is_refused() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(HEAD + OBJECT + PROGRAM + SCENARIO, "<stdin>", "exec", dont_inherit=True), names)
    with pytest.raises(percpu_emu.WrongInput, match="a program stands in a file or in a cell"):
        percpu_emu.explore(names["both_count"])


def test_what_stands_in_a_file_is_read_from_there(tmp_path: Path) -> None:
    path = tmp_path / "counting.py"
    path.write_text(HEAD + OBJECT + PROGRAM + SCENARIO)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), names)
    example = percpu_emu.explore(names["both_count"]).counterexample
    assert example is not None
    assert f"--scenario {path}" in " ".join(example.columns(200).split())
