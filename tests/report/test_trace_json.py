from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from percpu_emu.lang.source import Site
from percpu_emu.report.listing import listings
from percpu_emu.report.trace_json import trace_dict

from . import programs, traces
from .traces import TRACES


@pytest.mark.parametrize("name", TRACES)
def test_it_is_json_and_the_same_every_time(name: str) -> None:
    found = json.dumps(trace_dict(TRACES[name]()))
    assert found == json.dumps(trace_dict(TRACES[name]()))
    assert json.loads(found)["scenario"] == TRACES[name]().scenario


@pytest.mark.parametrize("name", TRACES)
def test_the_words_at_each_step_follow_from_the_accesses(name: str) -> None:
    found = trace_dict(TRACES[name]())
    words = {word["address"]: word["initial"] for word in found["words"]}
    for step in found["steps"]:
        for access in step["accesses"]:
            if access["freed"]:
                continue  # it was stopped before it was done
            assert words.get(access["address"], access["old"]) == access["old"]
            words[access["address"]] = access["new"]


def test_bursts_cover_every_step_once_and_in_order() -> None:
    found = trace_dict(traces.lost_count())
    steps = [step for burst in found["bursts"] for step in range(burst["first"], burst["last"] + 1)]
    assert steps == list(range(len(found["steps"])))


def test_the_listing_is_the_source_with_its_line_numbers() -> None:
    count = listings(traces.lost_count())[0]
    assert (count.program, count.file) == ("count", "programs.py")
    lines = Path(programs.__file__).read_text().splitlines()
    assert list(count.lines) == lines[count.first - 1 : count.first - 1 + len(count.lines)]
    assert count.lines[-1].strip() == "yield ledger_commit()"


def test_without_its_file_a_program_is_listed_by_its_operations() -> None:
    trace = traces.use_after_free()
    gone = [replace(step, site=replace(step.site, file="/gone.py")) for step in trace.steps if step.site]
    found = listings(replace(trace, steps=gone))
    assert [listing.program for listing in found] == ["count", "free_at_once"]
    assert found[1].lines == ("read_once(STATS)", "rcu_assign_pointer(STATS, NULL)", "free_percpu(slots)")
    assert isinstance(gone[0].site, Site)
