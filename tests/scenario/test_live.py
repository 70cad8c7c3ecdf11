"""The machine drawn in a terminal: each state of a CPU, the grace period, and that drawing harms nothing."""

from __future__ import annotations

import io
from functools import partial

import pytest
from rich.console import Console
from typer.testing import CliRunner

from percpu_emu.cli.main import app
from percpu_emu.lang import context as c
from percpu_emu.machine import EventStream
from percpu_emu.machine.faults import parse_fault
from percpu_emu.report.live import LiveMachine
from percpu_emu.scenario.load import load
from percpu_emu.scenario.protocol_runs import run_scenario
from tests.machine import programs
from tests.machine.conftest import MakeMachine, Rig, make_machine  # noqa: F401 - a fixture


def drawn(rig: Rig) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    console.print(LiveMachine(console, rig.machine, rig.tree).picture(1.0))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(picture: str, cpu: int) -> list[str]:
    return next([cell.strip() for cell in line.split("│")] for line in picture.splitlines() if f" {cpu} │" in line)


def test_every_state_of_a_cpu_has_a_word(make_machine: MakeMachine) -> None:  # noqa: F811
    rig = make_machine(cpus=4, faults=[parse_fault("mod_memcg_state:ledger_commit=stop:5s@#1")])
    rig.tree.table.add(rig.tree.mkdir("a"))
    rig.machine.offline_cpu(3)
    rig.machine.set_working(0, 0, rig.tree.table.pointer, 100, 0)
    rig.machine.wait_for(lambda: bool(rig.machine.memory.blocks[0, c.STOPPED_US]))
    picture = drawn(rig)
    assert row(picture, 0)[1] == "stopped"
    assert row(picture, 0)[2].startswith("mod_memcg_state:3 ledger_commit()")
    assert row(picture, 1)[1:3] == ["idle", "idle"]
    assert row(picture, 3)[1:3] == ["offline", ""]
    assert "cgroups: 2 online, 0 dying" in picture
    assert "counters that differ from the ledgers: 0" in picture


def test_the_grace_period_names_whom_it_waits_for(make_machine: MakeMachine) -> None:  # noqa: F811
    rig = make_machine(cpus=2)
    cgroup = rig.tree.mkdir("a")
    flag = rig.machine.memory.slab.kmalloc(8) // 8
    rig.machine.cpus.run(1, programs.start_update_and_stop, cgroup.memcg, flag)
    rig.machine.wait_for(lambda: bool(rig.machine.memory.blocks[1, c.NOTED]))
    rig.machine.rcu.call(lambda: None)
    rig.machine.poll()
    picture = drawn(rig)
    assert "waits for CPU 1" in picture
    assert row(picture, 1)[1:3] == ["in an update", "running start_update_and_stop"]
    rig.machine.memory.words[flag] = 1


def test_a_run_that_is_watched_is_drawn_and_passes() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    result = run_scenario(load("release-storm", {"seconds": 0.5}), EventStream(), partial(LiveMachine, console))
    assert result.verdict == "pass"
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("counters that differ from the ledgers: 0") > 1


@pytest.mark.parametrize(
    ("name", "said"), [("hotplug", "--live draws on a terminal"), ("flush-then-swap", "--live is for scenarios")]
)
def test_where_it_cannot_be_drawn_that_is_said(name: str, said: str) -> None:
    result = CliRunner().invoke(app, ["run", name, "--live"])
    assert (result.exit_code, said in result.stderr) == (2, True)
