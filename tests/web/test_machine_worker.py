"""A tab's machine: it tells how it stands, does what a learner wants, and ends with the tab."""

from __future__ import annotations

from typing import Any

import pytest

from .serving import descendants, left_of
from .workers import Worker

pytestmark = pytest.mark.timeout(240)  # the first run compiles programs


@pytest.fixture
def worker() -> Any:
    with Worker("machine_worker") as worker:
        yield worker


def snapshot(worker: Worker) -> dict[str, Any]:
    found: dict[str, Any] = worker.until(lambda m: "snapshot" in m)["snapshot"]
    return found


def row(snapshot: dict[str, Any], path: str) -> dict[str, Any]:
    return next(cgroup for cgroup in snapshot["table"] if cgroup["path"] == path)


def test_a_run_is_told_from_its_start_to_its_report(worker: Worker) -> None:
    worker.say(do="start", scenario="playground", overrides={"seconds": 2.0, "seed": 3})
    assert worker.hear() == {"started": "playground", "cpus": 4, "steps": True}
    seen = [snapshot(worker) for _ in range(4)]
    last = seen[-1]
    assert [cpu["cpu"] for cpu in last["cpus"]] == [0, 1, 2, 3]
    [counter] = row(last, "a")["counters"]
    assert counter["counted"] == counter["twin"] + sum(counter["slots"])
    assert all(c["difference"] == 0 for s in seen for g in s["table"] for c in g["counters"])
    assert last["pages_held"] == last["pages_expected"]
    assert sum(chunk["populated"].count("1") for chunk in last["chunks"]) * 4 == last["pages_expected"]
    report = worker.until(lambda m: "report" in m)["report"]
    assert (report["verdict"], report["seed"]) == ("pass", 3)
    worker.say(do="start", scenario="playground", overrides={"seconds": 0.1}, plain=True)
    assert worker.until(lambda m: "report" in m)["report"]["scope"]["faults"] == []


def test_a_cpu_that_is_held_keeps_the_release_waiting_until_it_is_let_go(worker: Worker) -> None:
    worker.say(do="start", scenario="playground", overrides={"seconds": 600})
    snapshot(worker)
    worker.say(do="hold", cpu=1)
    held = worker.until(lambda m: "snapshot" in m and m["snapshot"]["cpus"][1]["state"] == "held")["snapshot"]
    assert held["cpus"][1]["text"]
    worker.say(do="rmdir", cgroup="a")
    stall = worker.until(lambda m: "event" in m and m["event"]["kind"] == "rcu_stall")["event"]
    assert stall["cpus"] == [1]
    waiting = snapshot(worker)
    assert (waiting["kernel"]["waits_for"], row(waiting, "a")["state"]) == ([1], "dying")
    assert waiting["stalls"] >= 1
    worker.say(do="let_go", cpu=1)
    assert worker.until(lambda m: "event" in m and m["event"]["kind"] == "released")["event"]["cgroup"] == "a"
    after = worker.until(lambda m: "snapshot" in m and row(m["snapshot"], "a")["state"] == "released")["snapshot"]
    assert not row(after, "a")["has_slots"]
    assert row(after, "a")["counters"][0]["slots"] == []
    worker.say(do="end")
    assert worker.until(lambda m: "ended" in m) == {"ended": True}


def test_cpus_go_and_come_cgroups_are_made_and_the_pace_changes(worker: Worker) -> None:
    worker.say(do="start", scenario="playground", overrides={"seconds": 600})
    snapshot(worker)
    worker.say(do="offline", cpu=2)
    worker.until(lambda m: "snapshot" in m and m["snapshot"]["cpus"][2]["state"] == "offline")
    worker.say(do="online", cpu=2)
    worker.until(lambda m: "snapshot" in m and m["snapshot"]["cpus"][2]["updates_per_s"] > 0)
    worker.say(do="mkdir")
    worker.until(lambda m: "snapshot" in m and any(g["path"] == "yours-1" for g in m["snapshot"]["table"]))
    worker.say(do="pace", ms=300)
    worker.until(lambda m: "snapshot" in m and all(cpu["updates_per_s"] < 100 for cpu in m["snapshot"]["cpus"]))
    worker.say(do="rmdir", cgroup="none")
    assert "no such cgroup" in worker.until(lambda m: "event" in m)["event"]["reason"]
    for wrong, said in (
        ({"do": "hold", "cpu": 4}, "cpu is a number from 0 to 3"),
        ({"do": "pace", "ms": "fast"}, "ms is a number from 0 to 2000"),
        ({"do": "dance"}, "'dance': while a machine runs, it takes"),
    ):
        worker.say(**wrong)
        assert said in worker.until(lambda m: "refused" in m)["refused"]


def lost(message: dict[str, Any]) -> int:
    """Of the first counter; 0 where a snapshot has no difference, as an update was under way all the time."""
    difference: int | None = row(message["snapshot"], "a")["counters"][0]["difference"]
    return difference or 0


def test_lost_counts_show_while_they_are_lost(worker: Worker) -> None:
    worker.say(do="start", scenario="interrupts-raw", overrides={"seconds": 60})
    found = worker.until(
        lambda m: (
            "snapshot" in m and any(g["counters"] and g["counters"][0]["difference"] for g in m["snapshot"]["table"])
        )
    )
    [counter] = row(found["snapshot"], "a")["counters"]
    assert counter["difference"] < 0
    later = worker.until(lambda m: "snapshot" in m and lost(m) < counter["difference"])
    assert later


def test_a_tab_that_goes_takes_its_cpus_along() -> None:
    with Worker("machine_worker") as worker:
        worker.say(do="start", scenario="playground", overrides={"seconds": 600})
        snapshot(worker)
        found = descendants(worker.process.pid)
        assert len(found) == 4
    assert worker.process.returncode == 0
    assert left_of(found) == []


def test_what_has_no_steps_is_stressed_and_reported(worker: Worker) -> None:
    worker.say(do="start", scenario="raw-add-migration", overrides={"seconds": 20})
    report = worker.until(lambda m: "report" in m)["report"]
    assert report["verdict"] == "fail"
    assert report["counterexample"]["story"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"scenario": "/etc/passwd"}, "no scenario that ships has that name"),
        ({"scenario": "playground", "overrides": {"machine.cpus": 17}}, "machine.cpus"),
        ({"scenario": "playground", "overrides": {"faults.inject": []}}, "faults.inject"),
        ({"scenario": "playground", "overrides": []}, "overrides"),
        ({"scenario": "playground", "overrides": {"protocols": ["none"]}}, "protocols[0]: found 'none'"),
    ],
)
def test_a_wrong_start_is_told_and_the_next_one_works(worker: Worker, message: dict[str, Any], said: str) -> None:
    worker.say(do="start", **message)
    assert said in worker.hear()["error"]
