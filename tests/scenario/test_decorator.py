"""Scenarios declared in Python: the same as in TOML, found by path and name, and refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from percpu_emu.explore.strategies import Options, explore
from percpu_emu.machine import EventStream
from percpu_emu.scenario.finding import declared_in, shipped
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.stress import stress
from percpu_emu.scenario.subjects import subject_of

PROGRAMS = '''
"""A counter."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, alloc_percpu, counted, kzalloc, read_once, this_cpu_add, write_once, xchg
from percpu_emu.lang.structures import PerCpu, Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

STEP = 3

class Slots(Struct):
    slot: Word

class Node(Struct):
    next: Ptr[Node]
    value: Word

class Counter(Struct):
    stats: PerCpu[Slots]
    total: Word
    head: Ptr[Node]

counter = Counter()

def setup() -> Program[None]:
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(counter.stats, slots)

def update(times: int) -> Program[None]:
    with counted(counter.total, STEP * times):
        x = yield read_once(counter.total)
        yield write_once(counter.total, x + STEP * times)

def push() -> Program[None]:
    node = yield kzalloc(sizeof(Node))
    yield write_once(node.value, STEP)
    yield xchg(counter.head, node)

def total(address: int) -> Program[int]:
    return (yield read_once(address))

def never_five(state: object) -> str | None:
    return None
'''
PYTHON = '''
@scenario(cpus=2, setup=setup, total=total, constants={"STEP": 1}, expect="lost-count", missing="an atomic addition")
def two_updates(m: Contexts) -> None:
    """Two CPUs add to one word.

    It is not enough to read and to write.
    """
    m.task(update, 2, cpu="all", name="adder")
'''
TOML = """
name = "two-updates"
summary = "Two CPUs add to one word"
description = "It is not enough to read and to write."
[machine]
cpus = 2
[explore]
programs = "mine.py"
setup = "setup"
total = "total"
constants = {STEP = 1}
expect = "lost-count"
missing = "an atomic addition"
[[explore.contexts]]
program = "update"
name = "adder"
cpus = "all"
args = [2]
"""


def test_both_forms_are_one_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PROGRAMS + PYTHON)
    (tmp_path / "mine.toml").write_text(TOML)
    python, toml = load(str(tmp_path / "mine.py")), load(str(tmp_path / "mine.toml"))
    assert python.scenario == toml.scenario
    tokens = [explore(subject_of(one), Options()).counterexample.token for one in (python, toml)]  # type: ignore[union-attr]
    assert tokens[0] == tokens[1]


MADE = (
    PROGRAMS
    + """
from percpu_emu.lang.specialised import specialised

twice, total_of = specialised(update, STEP=2), [specialised(total)]
"""
)


def test_a_program_goes_by_the_name_of_what_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MADE + PYTHON.replace("m.task(update", "m.task(twice").replace(', constants={"STEP": 1}', ""))
    explore_ = load(str(path)).scenario.explore
    assert explore_ is not None
    assert [context.program for context in explore_.contexts] == ["twice"]
    counterexample = explore(subject_of(load(str(path))), Options()).counterexample
    assert counterexample is not None
    assert counterexample.trace.violation is not None
    assert "4 lost" in counterexample.trace.violation.detail


def test_a_program_that_nothing_holds_is_not_taken_for_one_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MADE + PYTHON.replace("total=total", "total=total_of[0]"))
    with pytest.raises(ScenarioError, match=r"total: the program of that name in mine\.py is another one"):
        load(str(path))


def test_a_file_with_several_is_asked_for_one_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PROGRAMS + PYTHON + PYTHON.replace("def two_updates", "def two_again"))
    assert list(declared_in(path)) == ["two-updates", "two-again"]
    assert load(f"{path}::two-again").scenario.name == "two-again"
    with pytest.raises(ScenarioError, match=r"it declares several scenarios; give one of them: .*mine.py::two-updates"):
        load(str(path))
    with pytest.raises(ScenarioError, match=r"found 'three', allowed: .*::two-updates, .*::two-again"):
        load(f"{path}::three")


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("cpus=2", "cpus=0", "machine.cpus: found 0"),
        ("cpus=2", "cpu=2", "two-updates: @scenario(cpu=...): unknown key; did you mean cpus?"),
        ("cpus=2", "limit=2", "two-updates: @scenario(limit=...): unknown key, allowed: name, cpus"),
        ("setup=setup", "setup=setup()", "@scenario(setup=...): a program is named there, and not called"),
        ("m.task(update, 2", "m.task(update(2)", "m.task: a program is named and not called"),
        ("cpus=2, ", "", "machine.cpus: missing"),
        ("setup=setup", "setup=total", "explore.setup: found 'total', allowed: a program with 0 parameters"),
        ('cpu="all"', "cpu=7", "no CPU 7, the machine has 2"),
        ("m.task(update, 2", "m.task(update", "explore.contexts[0].program: found 'update', allowed: a program with 0"),
        (
            "m.task(update",
            "m.tusk(update",
            "AttributeError: 'Contexts' object has no attribute 'tusk'; did you mean task?",
        ),
        ("m.task(update", "m.task(updaet", ": NameError: name 'updaet' is not defined"),
        ('    m.task(update, 2, cpu="all", name="adder")\n', "    pass\n", "explore.contexts: found []"),
        ("@scenario(", "@scenario(name='Two', ", "name: found 'Two'"),
    ],
)
def test_what_is_wrong_is_said_as_of_a_toml_file(tmp_path: Path, given: str, instead: str, message: str) -> None:
    assert given in PYTHON
    (tmp_path / "mine.py").write_text(PROGRAMS + PYTHON.replace(given, instead))
    with pytest.raises(ScenarioError) as refused:
        subject_of(load(str(tmp_path / "mine.py")))
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROGRAMS, "it declares no scenario"),
        ("def broken(:\n", "cannot be read: invalid syntax"),
        ("\0", "cannot be read"),
        (PROGRAMS + PYTHON + "\nprint('hello')\n", "prints"),
        (PROGRAMS + PYTHON + "\ndel two_updates\n", "no scenario 'two-updates' is left"),
    ],
)
def test_a_file_without_a_scenario_says_so(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ScenarioError, match=message):
        load(str(tmp_path / "mine.py"))


def test_words_are_called_by_their_fields(tmp_path: Path) -> None:
    more = '@scenario(cpus=1, setup=setup, left=0)\ndef pushes(m: Contexts) -> None:\n    """Push."""\n'
    (tmp_path / "mine.py").write_text(PROGRAMS + more + "    m.task(push, cpu=0)\n")
    explored = explore(subject_of(load(str(tmp_path / "mine.py"))), Options())
    assert explored.counterexample is not None
    assert explored.counterexample.check == "leak"
    names = set(explored.counterexample.trace.names.values())
    assert {"stats", "total", "head", "slot", "next of node 0", "value of node 0"} <= names


def test_a_check_of_the_end_sees_structures_in_the_search_and_on_processes(tmp_path: Path) -> None:
    check = """
def no_update_is_lost(state: State) -> str | None:
    seen = state.at(counter)
    return f"an update is lost: {seen}" if seen.total != 4 or seen.stats.on(1).slot else None

@scenario(cpus=2, setup=setup, constants={"STEP": 1}, final=no_update_is_lost, expect="final")
def checked(m: Contexts) -> None:
    \"\"\"Two CPUs.\"\"\"
    m.task(update, 2, cpu="all")
"""
    (tmp_path / "mine.py").write_text(PROGRAMS + "from percpu_emu.lang.state import State\n" + check)
    loaded = load(str(tmp_path / "mine.py"), {"seconds": 0.5})
    explored = explore(subject_of(loaded), Options())
    assert explored.counterexample is not None
    violation = explored.counterexample.trace.violation
    assert violation is not None
    assert "an update is lost: Counter(stats=0x200, total=2, head=NULL)" in violation.detail
    right = (tmp_path / "mine.py").read_text().replace("x = yield read_once(counter.total)\n", "yield smp_mb()\n")
    right = right.replace("yield write_once(counter.total, x + STEP * times)", "yield from add(times)")
    right = right.replace(
        "def update",
        "def add(times: int) -> Program[None]:\n    yield atomic_long_add(counter.total, times)\n\ndef update",
    )
    right = right.replace("total: Word", "total: AtomicLong").replace("import PerCpu", "import AtomicLong, PerCpu")
    right = right.replace("import Program", "import Program, atomic_long_add, smp_mb").replace(', expect="final"', "")
    (tmp_path / "right.py").write_text(right)
    loaded = load(str(tmp_path / "right.py"), {"seconds": 0.5})
    assert explore(subject_of(loaded), Options()).counterexample is None
    seen = stress(loaded, subject_of(loaded), EventStream(), record_every=4, seconds=0.5)
    assert (seen.violation, seen.stuck) == (None, "")
    assert seen.rounds > 1


def test_static_data_of_two_modules_does_not_share_words(tmp_path: Path) -> None:
    elsewhere = "\nof_another_module = int.__new__(Node, int(counter))\n"
    (tmp_path / "mine.py").write_text(PROGRAMS + elsewhere + PYTHON)
    with pytest.raises(ScenarioError, match="shares words with static data of another module"):
        subject_of(load(str(tmp_path / "mine.py")))


def test_shipped_scenarios_are_listed_without_executing_them() -> None:
    entries = shipped()
    assert all(entry.summary for entry in entries.values())
    assert all(load(name).scenario.name == name for name in list(entries)[:3])


def test_a_counter_whose_entries_sum_up_to_0_is_told_with_its_value(tmp_path: Path) -> None:
    zero = """
def add_and_forget() -> Program[None]:
    with counted(counter.total, 1):
        yield write_once(counter.total, 1)
    with counted(counter.total, -1):
        yield write_once(counter.total, 1)

@scenario(cpus=1, setup=setup, total=total)
def zero(m: Contexts) -> None:
    \"\"\"One CPU.\"\"\"
    m.task(add_and_forget, cpu=0)
"""
    (tmp_path / "mine.py").write_text(PROGRAMS + zero)
    explored = explore(subject_of(load(str(tmp_path / "mine.py"))), Options())
    assert explored.counterexample is not None
    violation = explored.counterexample.trace.violation
    assert violation is not None
    assert (violation.check, violation.detail) == ("doubled-count", "total is 1, 0 were added: 1 too many")
