"""Killed 200 times, in every phase: nothing stays, and a killed CPU loses at most the operation it was in."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from percpu_emu.machine import EventStream
from percpu_emu.scenario.exits import Exit
from percpu_emu.scenario.load import load
from percpu_emu.scenario.protocol_runs import run_scenario
from tests.cli.crashing import SCENARIO, Run, start
from tests.conftest import our_mounts

KILLS = 12
"""Of each phase and target: 5 x (3 x 12 + 2 x 3) = 210."""
SIGNALS = 3
"""Of each phase and signal that ends the group in order."""
GROUP = {"group": signal.SIGKILL, "terminated group": signal.SIGTERM, "interrupted group": signal.SIGINT}
CODES = {"terminated group": Exit.TERMINATED, "interrupted group": Exit.INTERRUPTED}
EVENTS = {"start": "", "release": "rmdir", "hotplug": "cpu_offline", "flush": "flushing", "shutdown": "endreading"}
"""The event in whose wake each phase is; the start is in the wake of the first CPU process."""
LONGEST = {"start": 0.01, "release": 0.003, "hotplug": 0.003, "flush": 0.0005, "shutdown": 0.004}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Once here, without a kill: those that are forked later have everything compiled and loaded."""
    file = tmp_path_factory.mktemp("compiled") / "crash.toml"
    file.write_text(SCENARIO)
    assert run_scenario(load(str(file)), EventStream()).verdict == "pass"


def hit(run: Run, phase: str, target: str, chance: random.Random) -> bool:
    """Kill a CPU in that phase; False where that came too late."""
    if not (run.await_event(EVENTS[phase]) if EVENTS[phase] else run.await_cpu()):
        return False
    time.sleep(chance.uniform(0, LONGEST[phase]))
    if run.is_over():
        return False
    if target in GROUP:
        os.killpg(run.pid, GROUP[target])
    elif target == "coordinator":
        os.kill(run.pid, signal.SIGKILL)
    else:
        cpus = run.cpus()
        if not cpus:
            return False
        os.kill(chance.choice(cpus), signal.SIGKILL)
    return True


def check(run: Run, target: str, where: str) -> None:
    code = run.bury()
    assert run.left() == [], f"{where}: processes are left"
    if target in CODES:
        assert_told(run, code, CODES[target], where)
        return
    if target != "cpu":  # in its last moments it may have ended well before
        assert code == -signal.SIGKILL or (code == 0 and where.endswith("shutdown")), where
        return
    report = json.loads(run.out.read_text() or "{}")
    said = f"{where}: {report} {run.err.read_text()}"
    assert "Traceback" not in run.err.read_text(), said
    ledgers = [check["ok"] for check in report["checks"] if check["name"] == "nothing lost, nothing doubled"]
    assert ledgers == [True], said
    assert code == 0, said


def assert_told(run: Run, code: int, expected: int, where: str) -> None:
    """It ended in order, and said so in one line; in its last moments it may have ended well before."""
    said = [line for line in run.err.read_text().splitlines() if line]
    assert code == expected or (code == 0 and where.endswith("shutdown")), f"{where}: {code}, {said}"
    if code == expected:
        assert [line.partition(":")[2].partition(":")[0] for line in said] in ([" terminated"], [" interrupted"]), said


@pytest.mark.parametrize("target", ["cpu", "coordinator", *GROUP])
@pytest.mark.parametrize("phase", EVENTS)
def test_whoever_is_killed_nothing_stays(tmp_path: Path, own_temporary_folder: Path, phase: str, target: str) -> None:
    chance = random.Random(f"{phase} {target}")
    before = set(own_temporary_folder.rglob("*"))
    done = tries = 0
    kills = SIGNALS if target in CODES else KILLS
    while done < kills:
        tries += 1
        assert tries < 20 * kills, f"only {done} of {tries} kills came in time"
        run = start(tmp_path, f"{done}")
        killed = hit(run, phase, target, chance)
        if killed:
            done += 1
            check(run, target, f"kill {done} of {target} during {phase}")
        else:
            run.bury()
            assert run.left() == []
        assert set(own_temporary_folder.rglob("*")) == before
        assert our_mounts(own_temporary_folder) == []
