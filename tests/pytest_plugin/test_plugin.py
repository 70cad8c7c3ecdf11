"""The plugin, as a user's pytest session has it."""

from __future__ import annotations

import json

import pytest

import percpu_emu
from percpu_emu.scenario.again import AGAIN
from tests.api.scenarios import DECLARED, FIXED, FOUND, KNOWN, PROGRAMS, UNREACHED, write_race

pytest_plugins = "pytester"
pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@pytest.fixture(autouse=True, scope="module")
def _everything_is_imported() -> None:
    """Pytester forgets what a session in this process imports, and numba cannot be imported twice."""
    example = percpu_emu.explore("flush-then-swap").counterexample
    assert example is not None
    percpu_emu.replay(example.token)


def session(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session in this process, whether or not the entry point of the plugin is installed."""
    return pytester.runpytest_inprocess("-p", "percpu_emu.pytest_plugin", *arguments)


# --- files


def test_without_the_option_no_scenario_is_collected(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    assert session(pytester).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_scenario_that_fails_shows_columns_story_and_the_replay_line(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    done = session(pytester, "--percpu-emu")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["!! 4  write_once(COUNT, x + 1)", f"Replay: {FOUND}", "[*] 1 of 2.", "FAILED race.toml::race*"]
    )
    done.stdout.no_fnmatch_line("*Traceback*")


def test_a_scenario_passes_by_proof_or_by_its_expected_failure(pytester: pytest.Pytester) -> None:
    write_race(pytester.path, programs=FIXED)
    session(pytester, "--percpu-emu").assert_outcomes(passed=1)
    write_race(pytester.path, scenario=KNOWN)
    session(pytester, "--percpu-emu").assert_outcomes(passed=1)
    write_race(pytester.path, programs=FIXED, scenario=KNOWN)
    done = session(pytester, "--percpu-emu")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["known: pass: expected final, found nothing"])


def test_an_inconclusive_scenario_fails_with_its_reason(pytester: pytest.Pytester) -> None:
    write_race(pytester.path, scenario=UNREACHED)
    done = session(pytester, "--percpu-emu")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["unreached: inconclusive: never reached: won"])


def test_a_limit_and_a_strategy_hold_for_every_scenario(pytester: pytest.Pytester) -> None:
    write_race(pytester.path, programs=FIXED)
    done = session(pytester, "--percpu-emu", "--percpu-emu-seconds=0.000001", "--percpu-emu-strategy=preemptions")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["race: inconclusive: not everything was covered: limit of 1e-06 s"])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--percpu-emu-strategy=luck", "*--percpu-emu-strategy luck: allowed: exhaustive, preemptions, pct, random"),
        ("--percpu-emu-seconds=0", "*--percpu-emu-seconds 0.0: a limit is above 0"),
    ],
)
def test_a_wrong_option_ends_the_session(pytester: pytest.Pytester, option: str, said: str) -> None:
    done = session(pytester, option)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([said])


def test_other_files_pass_by_and_a_damaged_one_is_an_error(pytester: pytest.Pytester) -> None:
    write_race(pytester.path, programs=FIXED)
    (pytester.path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    (pytester.path / "machine.toml").write_text('name = "steps"\n[machine]\ncpus = 1\n')
    session(pytester, "--percpu-emu").assert_outcomes(passed=1)
    (pytester.path / "damaged.toml").write_text("name = \n")
    done = session(pytester, "--percpu-emu", "--continue-on-collection-errors")
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*damaged.toml: cannot be read: *"])


def test_each_scenario_that_a_python_file_declares_is_a_test(pytester: pytest.Pytester) -> None:
    other = DECLARED.replace("declared_race", "alone").replace('"all"', "0").replace("=both_counted", "=None")
    write_race(pytester.path).unlink()
    (pytester.path / "race.py").write_text(PROGRAMS + DECLARED + other.replace(", final=None", ""))
    done = session(pytester, "--percpu-emu")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["Replay: * --scenario*", "*race.py::declared-race", "FAILED race.py::declared-race*"])
    session(pytester, "--percpu-emu", "race.py::alone").assert_outcomes(passed=1)


def test_a_wrong_scenario_fails_with_one_sentence(pytester: pytest.Pytester) -> None:
    path = write_race(pytester.path)
    path.write_text(path.read_text().replace("cpus = 2", "cpus = 0"))
    done = session(pytester, "--percpu-emu")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["race.toml: machine.cpus: found 0, allowed: greater than or equal to 1"])


# --- the marker

MARKED = """
from pathlib import Path

import pytest

@pytest.mark.explore("lost-increment", cpus=1)
def test_by_name(explored):
    assert explored.ok
    assert explored.scope["cpus"] == 1

@pytest.mark.explore("race.toml")
def test_by_path(explored):
    assert explored.counterexample.check == "final"

@pytest.mark.explore(Path("race.toml"), strategy="random", schedules=1, seed=1)
def test_by_path_object(explored):
    assert explored.scope["strategy"] == "random"

@pytest.mark.explore("declared.py::declared-race")
def test_declared(explored):
    assert explored.name == "declared-race"
"""


def test_a_marker_says_what_is_explored(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pytester.mkdir("inside")
    write_race(folder)
    (folder / "declared.py").write_text(PROGRAMS + DECLARED)
    (folder / "test_marked.py").write_text(MARKED)
    session(pytester, "--percpu-emu-seconds=60", "--strict-markers").assert_outcomes(passed=4)
    monkeypatch.chdir(pytester.mkdir("elsewhere"))
    session(pytester, str(folder)).assert_outcomes(passed=4)


def test_a_failed_verdict_is_shown_at_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.explore("race.toml")
        def test_race(explored):
            explored.raise_for_verdict()
        """
    )
    done = session(pytester)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([">       explored.raise_for_verdict()", f"E *Replay: {FOUND}", "*.py:5: ScenarioFailed"])


@pytest.mark.parametrize("marker", ["", "@pytest.mark.explore()", "@pytest.mark.explore('a', 'b')"])
def test_the_fixture_says_what_marker_it_needs(pytester: pytest.Pytester, marker: str) -> None:
    pytester.makepyfile(f"import pytest\n\n{marker}\ndef test_none(explored):\n    pass\n")
    done = session(pytester)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["explored needs the marker @pytest.mark.explore(*"])


# --- schedules that failed before


def kept(pytester: pytest.Pytester) -> list[str | None]:
    folder = pytester.path / ".pytest_cache" / "v" / "percpu-emu" / "tokens"
    return [json.loads(path.read_text()) for path in folder.glob("*")]


def test_the_schedule_of_a_failure_is_tried_first(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    assert AGAIN not in session(pytester, "--percpu-emu").stdout.str()
    assert kept(pytester) == [FOUND.split()[2]]
    done = session(pytester, "--percpu-emu")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([f"Replay: {FOUND}", f"note: {AGAIN}"])


def test_a_schedule_that_fits_no_more_is_forgotten(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    session(pytester, "--percpu-emu").assert_outcomes(failed=1)
    write_race(pytester.path, programs=FIXED)
    session(pytester, "--percpu-emu").assert_outcomes(passed=1)
    assert kept(pytester) == [None]


def test_what_is_expected_now_is_searched_for(pytester: pytest.Pytester) -> None:
    """The digest of a token is of the programs; what is expected of them is not in it."""
    write_race(pytester.path)
    (pytester.path / "race.toml").write_text(KNOWN.replace('"known"', '"race"').replace('"final"\n\n', '"leak"\n\n'))
    session(pytester, "--percpu-emu").assert_outcomes(failed=1)
    (pytester.path / "race.toml").write_text(KNOWN.replace('"known"', '"race"'))
    session(pytester, "--percpu-emu").assert_outcomes(passed=1)
    assert kept(pytester) == [None]


def test_a_test_that_is_about_a_failure_keeps_nothing(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    (pytester.path / "test_marked.py").write_text(MARKED)
    session(pytester, "-k", "by_path").assert_outcomes(passed=2, deselected=2)
    assert kept(pytester) == []


def test_without_a_cache_every_session_searches(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    for _ in range(2):
        done = session(pytester, "--percpu-emu", "-p", "no:cacheprovider")
        done.assert_outcomes(failed=1)
        assert AGAIN not in done.stdout.str()


# --- everybody's sessions


def test_a_session_that_explores_nothing_imports_nothing_that_is_slow(pytester: pytest.Pytester) -> None:
    write_race(pytester.path)
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            assert "percpu_emu.pytest_plugin" in sys.modules
            assert not {"numba", "numpy", "pydantic", "rich"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "percpu_emu.pytest_plugin", "--strict-markers").assert_outcomes(passed=1)
