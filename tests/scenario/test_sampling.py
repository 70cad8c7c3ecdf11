"""Samples of a run in the event stream: the last one has what the figures have, and no grace period is left out."""

from __future__ import annotations

from typing import Any

import pytest

from percpu_emu.machine import Event, EventStream
from percpu_emu.scenario.dispatch import run_loaded
from percpu_emu.scenario.load import load


def sampled(name: str, **overrides: object) -> tuple[list[Event], dict[str, Any]]:
    events, seen = EventStream(), list[Event]()
    events.listen(seen.append)
    result = run_loaded(load(name, {key.replace("__", "."): value for key, value in overrides.items()}), events)
    return [event for event in seen if event.kind in ("protocol", "stress", "sample")], result.figures


def test_of_a_scenario_with_steps_the_last_sample_of_each_protocol_has_its_figures() -> None:
    seen, figures = sampled("dying-cgroups", machine__cpus=2, cgroups=20)
    starts = [at for at, event in enumerate(seen) if event.kind == "protocol"]
    assert [seen[at].fields["name"] for at in starts] == list(figures) == ["original", "patched"]
    for name, part in zip(figures, (seen[: starts[1]], seen[starts[1] :]), strict=True):
        found = figures[name]
        first, *_, last = [event.fields for event in part[1:]]
        assert first["counts"] == {"updates": 0, "releases": 0}
        assert last["counts"] == {"updates": found["updates"], "releases": found["releases"]}
        grace_periods = [seconds for event in part[1:] for seconds in event.fields["grace_periods"]]
        assert len(grace_periods) == found["grace_periods"]
        assert max(grace_periods) * 1e6 == pytest.approx(found["grace_period_us_max"], abs=0.1)


def test_of_a_stress_the_first_sample_is_none_and_the_last_all_rounds() -> None:
    seen, figures = sampled("store-buffering", seconds=0.3)
    assert [seen[0].kind, *{event.kind for event in seen[1:]}] == ["stress", "sample"]
    counts = [event.fields["counts"]["rounds"] for event in seen[1:]]
    assert (counts[0], counts[-1]) == (0, figures["rounds"])
    assert counts == sorted(counts)


def test_of_a_torture_every_grace_period_is_sampled() -> None:
    seen, figures = sampled("rcu-torture", seconds=0.3)
    assert sum(len(event.fields["grace_periods"]) for event in seen) == figures["grace_periods"]
    assert 0 < seen[-1].fields["counts"]["interrupts"] <= figures["interrupts"]  # which come until the very end
