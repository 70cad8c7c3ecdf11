"""RCU under torture, and a reader that stays in its section."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from percpu_emu.cli.main import app
from percpu_emu.kernel import rcutorture
from percpu_emu.lang.ops import Program, rcu_assign_pointer, write_once
from percpu_emu.machine import Event, EventStream
from percpu_emu.machine.rcu import Rcu
from percpu_emu.report.torture import torture_lines
from percpu_emu.scenario import torture as torture_module
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.protocol_runs import RunResult, run_scenario
from percpu_emu.scenario.torture import run_torture

pytestmark = pytest.mark.timeout(240)  # the first run compiles its programs


def torture(name: str = "rcu-torture", seconds: float = 1.5) -> RunResult:
    return run_torture(load(name, {"seconds": seconds}), EventStream())


def wrong(result: RunResult) -> list[str]:
    return [check.name for check in result.checks if check.ok is False]


def test_readers_outlive_no_grace_period_and_everything_was_tried() -> None:
    result = torture()
    assert (result.verdict, wrong(result)) == ("pass", [])
    figures = result.figures
    assert figures["reader_pipe"][0] > 0
    assert figures["reader_pipe"][1] > 0
    assert figures["interrupts"] > 0
    assert figures["stutters"] > 0
    stages = figures["free_block_circulation"]
    assert stages[0] == stages[9] == figures["versions"] - 1, "every element that was replaced went down the whole pipe"
    assert not any(line.startswith("!!!") for line in torture_lines(figures))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_grace_periods_that_wait_for_no_reader_are_caught(seed: int) -> None:
    result = run_torture(load("rcu-torture-broken", {"seconds": 1.5, "seed": seed}), EventStream())
    assert result.verdict == "fail"
    assert "no reader outlived a grace period" in wrong(result)
    assert any(line.startswith("!!! Reader Pipe: ") for line in torture_lines(result.figures))


def test_a_barrier_that_returns_too_early_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(_: Rcu, callback: Callable[[], None]) -> None:
        callback()

    monkeypatch.setattr(Rcu, "barrier", at_once)
    result = torture()
    assert wrong(result) == ["rcu_barrier waits for every callback"]
    assert result.figures["rtbe"] > 0


def forgetful_writer(torture: int, turn: int) -> Program[None]:  # noqa: ARG001
    """Broken: it publishes what it has not prepared."""
    new = yield from rcutorture.take_free(torture)
    if new:
        yield write_once(new + rcutorture.AGE, 0)
        yield rcu_assign_pointer(torture + rcutorture.CURRENT, new)


def test_an_unprepared_element_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = [forgetful_writer, rcutorture.torture_fakewriter, rcutorture.torture_reader]
    monkeypatch.setattr(torture_module, "_WORKERS", workers)
    result = torture()
    assert (result.verdict, wrong(result)) == ("fail", ["no reader saw an element taken back"])
    assert next(torture_lines(result.figures)).startswith("!!! ")


def stubborn_writer(torture: int, turn: int) -> Program[None]:  # noqa: ARG001
    """Broken: it lets an element grow older that is at the end of the pipe already."""
    new = yield from rcutorture.take_free(torture)
    if new:
        yield write_once(new + rcutorture.AGE, rcutorture.PIPE_LEN)
        yield from rcutorture.grow_older(torture, new)


def test_an_element_beyond_the_pipe_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = [stubborn_writer, rcutorture.torture_fakewriter, rcutorture.torture_reader]
    monkeypatch.setattr(torture_module, "_WORKERS", workers)
    result = torture(seconds=0.5)
    assert (result.verdict, wrong(result)) == ("fail", ["no element went beyond the pipe"])


def test_killed_cpus_come_up_again_and_the_torture_goes_on() -> None:
    events = EventStream()
    kinds: Counter[str] = Counter()
    events.listen(lambda event: kinds.update([event.kind]))
    inject = ["torture_reader=kill@#3000"]
    result = run_torture(load("rcu-torture", {"seconds": 1.5, "faults.inject": inject}), events)
    assert wrong(result) == []
    assert result.verdict != "fail", "on a slow machine it may show nothing, since the killed have to come up again"
    assert kinds["cpu_died"] > 0
    assert any(note.startswith("fault torture_reader=kill@#3000: ") for note in result.notes)


def test_what_is_expected_of_a_torture_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nsummary = "mine"\nseconds = 0.3\n[machine]\ncpus = 4\n[torture]\n'
        '[[expect]]\nfigure = "versions"\nequals = 0\n'
    )
    assert wrong(run_torture(load(str(file)), EventStream())) == ["versions as expected"]


HAPPENED = {"reader_pipe": [5, 1, *[0] * 9], "versions": 2, "grace_periods": 2, "barrier_tests": 2}
"""What a torture does, however few turns a loaded machine gives it."""


@pytest.mark.parametrize(
    ("figure", "value", "said"),
    [
        ("reader_pipe", [5, *[0] * 10], "no reader whose element was replaced"),
        ("versions", 0, "no new version"),
        ("grace_periods", 0, "no grace period"),
        ("barrier_tests", 0, "no barrier test"),
    ],
)
def test_a_torture_in_which_something_never_happened_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, figure: str, value: object, said: str
) -> None:
    figures = torture_module._figures
    monkeypatch.setattr(torture_module, "_figures", lambda *args: figures(*args) | HAPPENED | {figure: value})
    result = torture(seconds=0.3)
    assert result.verdict == "inconclusive"
    assert result.notes[-1] == f"nothing is shown: {said}"


def test_the_command_prints_what_rcutorture_prints() -> None:
    result = CliRunner().invoke(app, ["run", "rcu-torture-broken", "--seconds", "1.5"])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("rcu-torture-broken: --- start of test: cpus=8 torture_type=no grace period")
    assert lines[-1] == "FAILURE"
    asked = CliRunner().invoke(app, ["run", "rcu-torture", "--seconds", "1.5", "--json"])
    assert json.loads(asked.stdout)["figures"]["rtbe"] == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[torture]\nfakewriters = 7\n", "7 fake writers, a writer and a reader need more CPUs"),
        ('[torture]\n[[workers]]\nprogram = "charge"\n', "allowed without steps, workers and interrupts"),
    ],
)
def test_a_wrong_torture_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\nsummary = "mine"\n[machine]\ncpus = 8\n{text}')
    with pytest.raises(ScenarioError, match=problem):
        load(str(file))


def test_a_reader_that_stays_is_named_again_and_again_and_nothing_is_freed_meanwhile() -> None:
    seen: list[Event] = []
    events = EventStream()
    events.listen(seen.append)
    result = run_scenario(load("rcu-stall"), events)
    assert (result.verdict, wrong(result)) == ("pass", []), "what the stopped CPU wrote last is counted, too"
    warnings = [event for event in seen if event.kind == "rcu_stall"]
    [stalled] = {number for number, count in Counter(e.fields["grace_period"] for e in warnings).items() if count > 1}
    warnings = [event for event in warnings if event.fields["grace_period"] == stalled]
    for warning in warnings:  # another CPU may be there, too, where the machine has much to do
        assert any("of charge, at mod_percpu_counter:3 (line " in where for where in warning.fields["where"])
        assert any("inside CPU " in where for where in warning.fields["where"])
    [_] = set.intersection(*[set(warning.fields["cpus"]) for warning in warnings])
    waits = [warning.fields["waited"] for warning in warnings]
    assert waits[0] >= 0.3
    assert all(later - earlier >= 0.9 for earlier, later in pairwise(waits)), "repeated after three times the time"
    assert "freed" not in [event.kind for event in seen[: seen.index(warnings[-1])]]
    assert "released" not in [event.kind for event in seen[: seen.index(warnings[-1])]]
    assert [event.fields["cgroup"] for event in seen if event.kind == "released"] == ["a", "b"], "all goes on"
