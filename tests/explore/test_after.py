"""Checks right after a step: they see the state in which the step leaves the machine, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from percpu_emu.explore.judging import OwnCheck
from percpu_emu.explore.model import Checks
from percpu_emu.explore.model import Model as EngineModel
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Search
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.explore.subject import After, Subject
from percpu_emu.lang.ops import Program, mark, rcu_read_lock, rcu_read_unlock, read_once, synchronize_rcu, write_once
from percpu_emu.lang.setting import MIGRATE, ContextSpec, Setting
from percpu_emu.lang.source import steps_by_name
from percpu_emu.lang.state import State
from percpu_emu.scenario.exploration import checks_of, verdict
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.programs import execute
from percpu_emu.scenario.replaying import Token, schedule_in
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.scenario.writing import as_python, as_toml

from .oracle import Model, TooMany, Violated
from .oracle_operations import WAITS_FOR
from .racing_programs import WORD, increment
from .writer import write

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def reader() -> Program[None]:
    yield rcu_read_lock()
    x = yield read_once(WORD)
    if x == 0:
        yield mark("early")
    yield rcu_read_unlock()
    yield write_once(WORD + 1, 1)


def writer() -> Program[None]:
    yield write_once(WORD, 1)
    yield synchronize_rcu()
    yield write_once(WORD, 2)


def setting(*programs: Any) -> Setting:
    return Setting(2, tuple(ContextSpec(f.__name__, f, cpu=number) for number, f in enumerate(programs)))


def after(step: str, judge: Any, *programs: Any) -> Subject:
    steps = steps_by_name(programs)
    return Subject("after", setting(*programs), after=(After(step, frozenset(steps[step]), judge),))


def is_never_two(state: State) -> str | None:
    return f"the word is {state.word(WORD)}" if state.word(WORD) == 2 else None


def test_it_fails_right_after_the_step_with_the_values_of_that_state() -> None:
    explored = explore(after("increment:2", is_never_two, increment, increment), Options())
    example = explored.counterexample
    assert example is not None
    assert (example.check, example.preemptions, len(example.schedule)) == ("after", 0, 4)
    assert example.trace.violation is not None
    assert example.trace.violation.detail.startswith("after increment:2 (line ")
    assert example.trace.violation.detail.endswith(": the word is 2")
    assert verdict(explored, checks_of(explored)) == "fail"


def test_it_does_not_look_at_the_same_state_after_another_step() -> None:
    """The word is 2 whenever the second `increment` begins to read, and no `increment:1` has just been done then."""
    explored = explore(after("increment:1", is_never_two, increment, increment), Options())
    assert explored.complete
    assert explored.counterexample is None
    assert verdict(explored, checks_of(explored)) == "pass"


def test_a_wait_that_only_begins_is_no_step_that_is_done() -> None:
    def nobody_reads_the_old_value(state: State) -> str | None:
        return None if state.word(WORD) == 1 else f"the word is {state.word(WORD)}"

    def the_reader_is_done(state: State) -> str | None:
        return None if state.word(WORD + 1) == 1 or state.word(WORD) == 1 else "a reader"

    for judge in (nobody_reads_the_old_value, the_reader_is_done):
        assert explore(after("writer:synchronize_rcu", judge, reader, writer), Options()).counterexample is None
    early = after("writer:write_once", lambda state: "two" if state.word(WORD) == 2 else None, reader, writer)
    found = explore(early, Options()).counterexample
    assert found is not None
    assert found.trace.steps[-1].op == "write_once"


def test_a_mark_names_a_step() -> None:
    explored = explore(after("early", lambda state: f"{state.word(WORD)} by then", reader, writer), Options())
    assert explored.counterexample is not None
    assert explored.counterexample.trace.steps[-1].op == "mark"


def test_a_step_that_is_never_taken_is_not_judged() -> None:
    subject = after("early", lambda _: "wrong", reader)
    setting_ = Setting(2, subject.setting.contexts, raise_word)
    explored = explore(Subject("never", setting_, after=subject.after), Options())
    (line,) = (check for check in checks_of(explored) if check.name == "after")
    assert (line.ok, line.detail) == (None, "a step that `after` names was never taken: early")
    assert verdict(explored, checks_of(explored)) == "inconclusive"


def raise_word() -> Program[None]:
    yield write_once(WORD, 1)


# --- in a scenario

PROGRAMS = """
from percpu_emu.lang.ops import *
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

class Shared(Struct):
    pointer: Word
    users: Word

shared = Shared()

def use():
    pointer = yield read_once(shared.pointer)
    if pointer:
        yield write_once(shared.users, 1)

def publish():
    yield write_once(shared.pointer, 1)
    yield mark("published")
    yield write_once(shared.pointer, 0)

def unused(state):
    seen = state.at(shared)
    return f"it is used: {seen}" if seen.users else None

@scenario(cpus=2, after={"publish:3": unused, "published": unused}, expect="after")
def used_meanwhile(m: Contexts) -> None:
    \"\"\"One summary.\"\"\"
    m.task(use, cpu=0)
    m.task(publish, cpu=1)
"""


def written(folder: Path, text: str = PROGRAMS) -> str:
    path = folder / "used.py"
    path.write_text(text)
    return str(path)


def test_a_scenario_says_it_in_either_form_and_its_token_comes_to_the_same(tmp_path: Path) -> None:
    path = written(tmp_path)
    loaded = load(path)
    assert "after={'publish:3': unused, 'published': unused}" in as_python(loaded)
    assert '"publish:3" = "unused"' in as_toml(loaded)
    subject = subject_of(loaded)
    example = explore(subject, Options()).counterexample
    assert example is not None
    assert example.trace.violation is not None
    assert "it is used: Shared(pointer=" in example.trace.violation.detail
    again = schedule_in(Token.parse(example.token), subject)
    assert (again.check, again.trace.violation) == ("after", example.trace.violation)


@pytest.mark.parametrize("name", ["publish:4", "publish", "use:kfree", "publised", "unused:1"])
def test_a_name_that_fits_no_step_is_refused_with_what_there_is(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, PROGRAMS.replace('"publish:3"', f'"{name}"'))
    with pytest.raises(ScenarioError, match=f"explore.after: found .{name}., allowed: use:1, use:2, publish:1"):
        subject_of(load(path))


def test_what_is_no_function_of_a_state_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, PROGRAMS.replace('"published": unused', '"published": use'))
    with pytest.raises(ScenarioError, match=r"explore\.after\.published: found"):
        subject_of(load(path))


def test_the_token_of_an_invariant_that_fails_on_the_way_ends_there(tmp_path: Path) -> None:
    text = PROGRAMS.replace('after={"publish:3": unused, "published": unused}, expect="after"', "invariant=hidden")
    path = written(tmp_path, f"{text.replace('@scenario', HIDDEN + '@scenario', 1)}")
    subject = subject_of(load(path))
    example = explore(subject, Options()).counterexample
    assert example is not None
    again = schedule_in(Token.parse(example.token), subject)
    assert (again.check, again.schedule) == ("invariant", example.schedule)


HIDDEN = """
def hidden(state):
    return "it is published" if state.at(shared).pointer else None

"""


# --- against the oracle

OPERATIONS = ("write_once", "read_once", "synchronize_rcu", "smp_cond_load_acquire", "this_cpu_add", "xchg")


def in_oracle(setting: Setting, most: int = 1500) -> dict[str, set[Any]]:
    """The words of every state to which a whole operation of each name leads, by every schedule."""
    split: frozenset[int] = frozenset()
    while True:
        first = Model(setting, None, split)
        found, known, todo = {name: set[Any]() for name in OPERATIONS}, {first.key()}, [first]
        for model in todo:
            for choice in model.enabled():
                after = model.copy()
                context = next(c for c in model.all() if c.number == choice % MIGRATE)
                takes_down = context.to_go_down is not None
                whole = choice < MIGRATE and not takes_down and not model._only_begins(context)
                begins = not takes_down and context.waits is None and context.op.name in WAITS_FOR
                try:
                    after.step(choice)
                except Violated:
                    continue
                if whole and not begins and context.op.name in found:
                    found[context.op.name].add(frozenset(after.words().items()))
                if after.key() not in known:
                    known.add(after.key())
                    todo.append(after)
            if len(todo) > most:
                raise TooMany
        if first.written_remotely <= split:
            return found
        split |= first.written_remotely


def in_search(setting: Setting) -> dict[str, set[Any]]:
    def look(model: EngineModel, name: str, seen: set[Any]) -> OwnCheck:
        sites = frozenset(site for row, site in model.code.sites.items() if model.code.names.get(row) == name)
        return OwnCheck("after", "a step", lambda state: seen.add(frozenset(model.words(state).items())), name, sites)

    def go(model: EngineModel) -> dict[str, set[Any]]:
        found = {name: set[Any]() for name in OPERATIONS}
        judges = tuple(look(model, name, seen) for name, seen in found.items())
        Search(model, reduce=False, judges=judges).run(every=True)
        return found

    return with_room(setting, Checks(), go)  # type: ignore[no-any-return]


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_the_states_after_an_operation_are_those_of_the_oracle(first: int, tmp_path: Path) -> None:
    compared = set()
    for seed in range(first, first + 20):
        written_ = write(seed)
        module = execute(written_at(tmp_path / f"random_after_{seed}.py", written_.text))
        setting_ = written_.setting(module)
        try:
            expected = in_oracle(setting_)
        except TooMany:
            continue
        assert in_search(setting_) == expected, seed
        compared |= {name for name, states in expected.items() if states}
    assert len(compared) > 3


def written_at(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
