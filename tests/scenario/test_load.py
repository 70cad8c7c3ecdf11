from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from percpu_emu.explore.subject import Subject
from percpu_emu.kernel.profile import profile_names
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.subjects import subject_of

VALID = """
name = "mine"
summary = "a scenario of my own"

[machine]
cpus = 2

[[workers]]
program = "charge"

[[steps]]
do = "repeat"
times = 3
steps = [{ do = "mkdir", cgroup = "a{i}", publish = true }, { do = "rmdir", cgroup = "a{i}" }]
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write_file


def problem_in(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(str(path))
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize("name", shipped())
def test_every_bundled_scenario_is_valid_and_named_as_its_file(name: str) -> None:
    assert load(name).scenario.name == name


def test_a_file_of_ones_own_is_loaded_by_its_path(write: Write) -> None:
    loaded = load(str(write(VALID)))
    assert loaded.scenario.machine.cpus == 2
    assert [worker.__name__ for worker in loaded.workers] == ["charge"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("cpus = 2", "cpus = 0", "machine.cpus: found 0, allowed: greater than or equal to 1"),
        ("cpus = 2", 'cpus = "2"', "machine.cpus: found '2', allowed: a valid integer"),
        ("cpus = 2", "cpus = 2.5", "machine.cpus: found 2.5, allowed: a valid integer"),
        ("cpus = 2", "cpus = 9999", "machine.cpus: found 9999, allowed: less than or equal to 512"),
        ("cpus = 2", "", "machine.cpus: missing"),
        ("cpus = 2", "cpus = 2\nnodes = 3", "machine: 3 nodes need at least as many CPUs, 2 are given"),
        ("cpus = 2", "cpus = 2\ncups = 3", "machine.cups: unknown key; did you mean cpus?"),
        ('summary = "a scenario of my own"', "", "summary: missing"),
        ('name = "mine"', 'name = "Mine!"', "name: found 'Mine!', allowed: String should match pattern '^[a-z0-9-]+$'"),
        ('do = "repeat"', 'do = "repaet"', "steps[0].do: found 'repaet', allowed: 'mkdir', "),
        ('do = "repeat"', "", "steps[0].do: missing; it says what the step does"),
        ('do = "mkdir", cgroup = "a{i}"', 'do = "mkdir"', "steps[0].steps[0].cgroup: missing"),
        ('do = "rmdir", cgroup', 'do = "rmdir", path', "steps[0].steps[1].path: unknown key, allowed: do, cgroup"),
        ('cgroup = "a{i}" }]', 'cgroup = "../x" }]', "steps[0].steps[1].cgroup: '../x' leads out of the tree"),
        ("times = 3", 'times = "many"', "steps[0].times: found 'many', allowed: "),
        ('program = "charge"', 'program = "chrage"', "workers[0].program: found 'chrage', allowed: charge, "),
        ('program = "charge"', 'program = "charge"\ncpus = [7]', "worker charge: no CPU 7, the machine has 2"),
        ("cpus = 2", 'cpus = 2\nkernel = "linux-9"', "machine.kernel: found 'linux-9', allowed: linux-5.0-mmotm, "),
        ("[machine]", "[machine", "not TOML: "),
    ],
)
def test_a_wrong_file_is_refused_with_key_path_what_was_found_and_what_is_allowed(
    write: Write, old: str, new: str, problem: str
) -> None:
    assert old in VALID
    assert problem in problem_in(write(VALID.replace(old, new, 1)))


def test_every_problem_of_a_file_is_told_at_once(write: Write) -> None:
    text = VALID.replace("cpus = 2", "cpus = 0").replace("times = 3", "times = 0")
    assert len(problem_in(write(text)).splitlines()) >= 2


def test_a_name_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(ScenarioError, match="dying-cgroup: no scenario of that name; did you mean dying-cgroups"):
        load("dying-cgroup")
    with pytest.raises(ScenarioError, match=r"nothing/here\.toml: there is no such file"):
        load("nothing/here.toml")


def test_the_command_line_replaces_keys_and_is_checked_like_the_file() -> None:
    loaded = load("dying-cgroups", {"machine.cpus": 4, "cgroups": None})
    assert loaded.scenario.machine.cpus == 4
    assert loaded.changed == {"machine.cpus"}
    assert load("dying-cgroups", {"machine.cpus": 32}).changed == frozenset()
    with pytest.raises(ScenarioError, match=r"machine\.cpus: found -1"):
        load("dying-cgroups", {"machine.cpus": -1})


def test_a_program_beside_the_scenario_is_found_by_its_file_name(write: Write, tmp_path: Path) -> None:
    program = tmp_path / "my_worker.py"
    program.write_text(
        "from percpu_emu.lang.ops import read_once\n\n\ndef my_worker(memcg, turn):\n    yield read_once(memcg)\n"
    )
    loaded = load(str(write(VALID.replace('"charge"', '"my_worker.py"'))))
    assert [worker.__name__ for worker in loaded.workers] == ["my_worker"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = (", "cannot be loaded: SyntaxError"),
        ("import nothing_of_that_name", "cannot be loaded: ModuleNotFoundError"),
        ("def other(memcg, turn):\n    yield 1\n", "has no program"),
        ("def my_worker(memcg, turn):\n    return 1\n", "has no program"),
        ("def my_worker(memcg):\n    yield 1\n", "takes (memcg, turn), not 1 arguments"),
    ],
)
def test_a_program_file_that_is_none_is_refused_with_the_reason(
    write: Write, tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "my_worker.py").write_text(text)
    assert problem in problem_in(write(VALID.replace('"charge"', '"my_worker.py"')))


def test_the_bundled_kernels_can_be_named() -> None:
    for name in profile_names():
        assert load("dying-cgroups", {"machine.kernel": name}).profile.name == name


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("cpus = 2", f"cpus = {'9' * 5000}", "not TOML: Exceeds the limit"),
        ("cpus = 2", f"cpus = {'[' * 3000}{']' * 3000}", "not TOML: tables and lists stand too deep"),
        ("cpus = 2", 'cpus = 2\nkernel = "a\\u0000.toml"', "machine.kernel: found 'a\\x00.toml'"),
        ("cpus = 2", f'cpus = 2\nkernel = "{"x" * 300}.toml"', "cannot be read: File name too long"),
        ('program = "charge"', 'program = "a\\u0000b"', "workers[0].program: found 'a\\x00b', allowed: charge"),
        ('program = "charge"', f'program = "{"x" * 300}"', "allowed: charge"),
        ('program = "charge"', f'program = "charge"\nstretch = {2**63}', "workers[0].stretch: found 92233720"),
        ("[machine]", '"\\u001b[31m" = 1\n[machine]', "'\\x1b[31m': unknown key"),
        ("[machine]", 'interrupts = [{ program = "charge", rate = 1e-300 }]\n[machine]', "interrupts[0].rate: found"),
        ("times = 3", "times = 3\nsteps_ = 1", "steps[0].steps_: unknown key"),
        ('do = "mkdir", cgroup = "a{i}", publish = true', 'do = "offline", cpu = 7', "step offline: no CPU 7"),
    ],
)  # fmt: skip
def test_what_fuzzing_found_is_refused(write: Write, old: str, new: str, problem: str) -> None:
    assert problem in problem_in(write(VALID.replace(old, new, 1)))


def test_a_long_list_of_problems_is_cut_and_so_is_a_long_value(write: Write) -> None:
    steps = ", ".join(["{ do = 1 }"] * 500)
    with pytest.raises(ScenarioError) as caught:
        load(str(write(VALID.replace('name = "mine"', f'name = "{"x" * 9000}"\nexpect = [{steps}]', 1))))
    assert str(caught.value).endswith("more problems")
    assert len(str(caught.value)) < 20_000


EXPLORED = """
name = "mine"
summary = ""

[machine]
cpus = 2

[explore]
programs = "programs.py"
constants = { BATCH = 1 }

[[explore.contexts]]
program = "update"
cpus = [0]
"""
PROGRAMS = """
from percpu_emu.kernel.memcg import mod_memcg_state
from percpu_emu.lang.ops import write_once

BATCH = 32
NAME = "a name"


def update():
    yield write_once(70144, BATCH)


def charges():
    yield from mod_memcg_state(70144, 0, 1)
"""


def explored(folder: Path, text: str) -> Subject:
    (folder / "programs.py").write_text(PROGRAMS)
    (folder / "mine.toml").write_text(text)
    return subject_of(load(str(folder / "mine.toml")))


def test_a_constant_that_some_program_knows_is_taken(tmp_path: Path) -> None:
    assert explored(tmp_path, EXPLORED).setting.constants == {"BATCH": 1}
    kernels = EXPLORED.replace('"update"', '"charges"').replace("BATCH", "MEMCG_CHARGE_BATCH")
    assert explored(tmp_path, kernels).setting.constants == {"MEMCG_CHARGE_BATCH": 1}


@pytest.mark.parametrize(
    ("name", "said"),
    [("BACTH", "did you mean BATCH?"), ("NAME", "allowed: an int of a module"), ("update", "allowed: an int of")],
)
def test_a_constant_that_no_program_knows_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        explored(tmp_path, EXPLORED.replace("BATCH", name))
    assert f"explore.constants.{name}: no such constant; " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('kind = "interrupt"\nturns = 2', 'turns: found 2, allowed: 1 for kind "interrupt", which runs once'),
        ('kind = "offline"\nturns = 3', 'turns: found 3, allowed: 1 for kind "offline", which runs once'),
        ('kind = "interrupt"\nmigrates = 1', 'migrates: found 1, allowed: 0 for kind "interrupt"'),
    ],
)
def test_only_a_task_has_turns_and_migrates(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        explored(tmp_path, EXPLORED + more)
    assert f"explore.contexts[0].{problem}" in str(caught.value)


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("patched.relases", "did you mean patched.releases"),
        ("releases", "did you mean patched.releases"),
        ("patched.before.percpu_kb", "did you mean patched.end.percpu_kb"),
        ("zzz", "allowed: patched.end.nr_dying_descendants, "),
    ],
)
def test_an_expected_figure_that_no_run_has_is_refused(write: Write, figure: str, said: str) -> None:
    problem = problem_in(write(f'{VALID}\n[[expect]]\nfigure = "{figure}"\nequals = 1'))
    assert problem.startswith(f"expect[0].figure: found '{figure}'; {said}")


def test_what_options_get_wrong_is_blamed_on_them(write: Write) -> None:
    path = write(VALID)
    with pytest.raises(ScenarioError, match=r"^--cpus 2 --nodes 3: machine: 3 nodes need at least as many CPUs"):
        load(str(path), {"machine.cpus": 2, "machine.nodes": 3})
    with pytest.raises(ScenarioError, match=r"^--kernel linux-9: machine\.kernel: found 'linux-9', allowed"):
        load(str(path), {"machine.kernel": "linux-9"})
    wrong = write(VALID.replace("cpus = 2", "cpus = 0"))
    with pytest.raises(ScenarioError, match=r"^/.*mine\.toml: machine\.cpus: found 0"):
        load(str(wrong), {"machine.nodes": 1})


def test_a_program_file_that_fails_says_in_which_line(write: Write, tmp_path: Path) -> None:
    (tmp_path / "my_worker.py").write_text("x = 1\n\n\ny = x['a']\n")
    assert "my_worker.py, line 4: cannot be loaded: TypeError" in problem_in(
        write(VALID.replace('"charge"', '"my_worker.py"'))
    )
