"""The trace events, read as Perfetto reads them: what each kind of event needs, and what the trace says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from percpu_emu.lang.source import Site
from percpu_emu.lang.trace import Step
from percpu_emu.report.export.perfetto import perfetto
from percpu_emu.report.labels import Labels
from percpu_emu.report.story import step_texts
from percpu_emu.report.view import View

from . import golden
from .shipped import BROKEN, counterexample
from .traces import going_offline

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
NEEDED = {
    "M": {"name", "pid", "args"},
    "X": {"name", "cat", "ts", "dur", "pid", "tid", "args"},
    "i": {"name", "cat", "ts", "pid", "tid", "s"},
    "C": {"name", "ts", "pid", "args"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
}


def events(trace: Trace, kind: str) -> list[dict[str, Any]]:
    return [event for event in json.loads(perfetto(trace))["traceEvents"] if event["ph"] == kind]


def slice_at(trace: Trace, event: dict[str, Any]) -> int:
    """The step whose slice an event lies in, strictly, and on its track."""
    [found] = [
        number
        for number, step in enumerate(events(trace, "X"))
        if step["ts"] < event["ts"] < step["ts"] + step["dur"]
        and (step["pid"], step["tid"]) == (event["pid"], event["tid"])
    ]
    return found


def test_the_file_is_as_it_was_last_read() -> None:
    golden.check("flush-before-grace-period-perfetto", perfetto(counterexample("flush-before-grace-period")))


@pytest.mark.parametrize("name", BROKEN)
def test_every_event_has_what_its_kind_needs(name: str) -> None:
    found = json.loads(perfetto(counterexample(name)))
    for event in found["traceEvents"]:
        assert NEEDED[event["ph"]] <= event.keys()
        assert isinstance(event["pid"], int)
        assert event.get("ts", 0) >= 0
    assert found["otherData"]["scenario"] == name
    assert found["otherData"]["time"] == "made up: each step lasts 1 us"
    assert found["otherData"]["token"] == counterexample(name).token


@pytest.mark.parametrize("name", BROKEN)
def test_every_step_is_a_slice_of_one_microsecond_with_its_sentence(name: str) -> None:
    trace = counterexample(name)
    slices = events(trace, "X")
    assert [(event["ts"], event["dur"]) for event in slices] == [(number, 1) for number in range(len(trace.steps))]
    assert [event["args"]["sentence"] for event in slices] == step_texts(View(trace))


@pytest.mark.parametrize("name", BROKEN)
def test_every_track_has_the_name_of_its_context_and_is_in_the_group_of_its_cpu(name: str) -> None:
    trace = counterexample(name)
    named = {(event["pid"], event["name"]): event["args"].get("name") for event in events(trace, "M")}
    tracks = {(event["pid"], event["tid"]): event["args"]["name"] for event in events(trace, "M") if event["tid"]}
    assert len({tid for _, tid in tracks}) == len(tracks)
    actors: dict[tuple[int, int], set[int]] = {}
    for step, actor, event in zip(trace.steps, Labels(trace).actors, events(trace, "X"), strict=True):
        group = "coordinator" if step.cpu is None else f"CPU {step.cpu}"
        assert named[event["pid"], "process_name"] == group
        assert tracks[event["pid"], event["tid"]]
        actors.setdefault((event["pid"], event["tid"]), set()).add(actor)
    assert all(len(of_track) == 1 for of_track in actors.values())


def test_a_task_that_moves_has_a_track_on_each_of_its_cpus() -> None:
    trace = counterexample("raw-add-migration")
    tracks = [event for event in events(trace, "M") if event["name"] == "thread_name"]
    moving = [event for event in tracks if event["args"]["name"] == "task moving_charge"]
    assert len({event["pid"] for event in moving}) == len(moving) == 2


@pytest.mark.parametrize("name", BROKEN)
def test_each_arrow_has_one_start_and_one_end_inside_of_steps(name: str) -> None:
    trace = counterexample(name)
    starts, ends = events(trace, "s"), events(trace, "f")
    assert Counter(event["id"] for event in starts) == Counter(event["id"] for event in ends)
    assert all(count == 1 for count in Counter(event["id"] for event in starts).values())
    for start, end in zip(
        starts, sorted(ends, key=lambda end: [s["id"] for s in starts].index(end["id"])), strict=True
    ):
        assert slice_at(trace, start) < slice_at(trace, end)
        assert (start["name"], start["cat"]) == (end["name"], end["cat"])
        assert end["bp"] == "e"


@pytest.mark.parametrize("name", BROKEN)
def test_an_arrow_leads_to_every_callback_that_runs(name: str) -> None:
    trace = counterexample(name)
    queues = [n for n, step in enumerate(trace.steps) if step.op in ("call_rcu", "queue_work")]
    run = [n for n in queues if trace.steps[n].args[0] in {step.context for step in trace.steps[n + 1 :]}]
    assert [slice_at(trace, event) for event in events(trace, "s") if event["cat"] == "queue"] == run


def test_an_arrow_leads_from_the_store_that_publishes_to_the_read_that_takes_it() -> None:
    trace = counterexample("pointer-read-twice")
    [start] = [event for event in events(trace, "s") if event["cat"] == "publish"]
    [end] = [event for event in events(trace, "f") if event["id"] == start["id"]]
    assert trace.steps[slice_at(trace, start)].op == "rcu_assign_pointer"
    assert trace.steps[slice_at(trace, end)].op == "rcu_dereference"


@pytest.mark.parametrize("name", BROKEN)
def test_the_counters_are_the_named_words_that_change_with_their_values(name: str) -> None:
    trace = counterexample(name)
    labels, freed = Labels(trace), View(trace).is_freed
    words = {address: value for address, value in trace.initial.items() if labels.is_named(address)}
    held = [{labels.word(address): value for address, value in words.items()}]
    for number, step in enumerate(trace.steps):
        for access in step.accesses:
            if labels.is_named(access.address) and not freed(access.address, number):
                words[access.address] = access.new
        held.append({labels.word(address): value for address, value in words.items()})
    shown: dict[str, int] = {}
    counters = events(trace, "C")
    for time, values in enumerate(held):
        shown |= {event["name"]: event["args"]["value"] for event in counters if event["ts"] == time}
        assert {word: values.get(word, 0) for word in shown} == shown
        assert {word for word, value in values.items() if value != held[0].get(word, value)} <= shown.keys()
    assert len({(event["name"], event["ts"]) for event in counters}) == len(counters)


@pytest.mark.parametrize("name", BROKEN)
def test_the_steps_to_blame_and_those_that_suffer_are_marked(name: str) -> None:
    trace = counterexample(name)
    assert trace.violation is not None
    found = {(event["name"], slice_at(trace, event)) for event in events(trace, "i") if event["cat"] == "violation"}
    check, guilty = trace.violation.check, {*trace.violation.guilty}
    victims = {*trace.violation.victims} - guilty
    assert found == {(f"to blame: {check}", n) for n in guilty} | {(f"suffers from it: {check}", n) for n in victims}


def test_a_mark_is_an_instant_and_a_run_in_which_all_is_well_has_no_other() -> None:
    assert events(going_offline(), "i") == []
    mark = Step(0, "mark", (0,), site=Site("update", 1, "/gone.py", 1, 'mark("flushed")'), cpu=0)
    steps = [mark if number == 1 else step for number, step in enumerate(going_offline().steps)]
    marked = replace(going_offline(), steps=steps)
    assert [(event["name"], slice_at(marked, event)) for event in events(marked, "i")] == [('mark("flushed")', 1)]
