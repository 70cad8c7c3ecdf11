"""What is kept of a run over time: little, however long it runs, and nothing of the sums is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.machine import Event
from percpu_emu.report.run_series import MOST_SAMPLES, Part, RunSeries, Thinned, bucket_of, bucket_us

steps = st.lists(st.tuples(st.floats(0.001, 10), st.integers(0, 10**9)), min_size=1, max_size=200)


def part_of(steps: list[tuple[float, int]]) -> Part:
    part, now, count = Part("patched"), 5.0, 0
    part.add(now, {"updates": 0}, [])
    for seconds, more in steps:
        now, count = now + seconds, count + more
        part.add(now, {"updates": count}, [])
    return part


@given(st.integers(1, 500), st.sampled_from([2, 8, 20]))
def test_thinned_samples_are_few_and_evenly_spaced_and_have_both_ends(seen: int, most: int) -> None:
    samples = Thinned(most)
    for number in range(seen):
        samples.add((float(number), {"updates": number}))
    kept = [int(seconds) for seconds, _ in samples]
    assert (kept[0], kept[-1]) == (0, seen - 1)
    assert len(kept) <= most
    assert len({after - before for before, after in pairwise(kept[:-1])}) <= 1
    assert kept == sorted(set(kept))


@given(steps)
def test_rates_times_their_seconds_are_the_count(steps: list[tuple[float, int]]) -> None:
    rates = part_of(steps).rates("updates")
    assert sum((one.end - one.start) * one.value for one in rates) == pytest.approx(sum(more for _, more in steps))
    assert [one.end for one in rates[:-1]] == [one.start for one in rates[1:]]
    assert rates[0].start == 0


def test_an_hour_of_samples_takes_no_more_room_than_a_minute() -> None:
    part = part_of([(0.1, 7)] * 36_000)
    assert MOST_SAMPLES / 2 <= len(list(part.samples)) <= MOST_SAMPLES
    assert {round(one.value, 6) for one in part.rates("updates")} == {70}


def test_a_last_moment_has_no_rate_of_its_own() -> None:
    assert len(part_of([(0.1, 5), (0.1, 5), (0.001, 9)]).rates("updates")) == 2


def test_a_count_that_there_is_not_has_no_rates() -> None:
    assert part_of([(0.1, 5)]).rates("releases") == []


@given(st.floats(0.1, 1e8))
def test_a_latency_is_in_its_bucket(microseconds: float) -> None:
    bucket = bucket_of(microseconds)
    assert bucket_us(bucket) <= microseconds * (1 + 1e-9)
    assert microseconds <= bucket_us(bucket + 1) * (1 + 1e-9)


def test_a_latency_of_nothing_counts_as_the_shortest() -> None:
    assert bucket_of(0.0) == bucket_of(0.1)


def test_every_protocol_and_every_kind_of_stress_is_a_part() -> None:
    series = RunSeries()
    for kind, fields in (
        ("protocol", {"name": "original"}),
        ("sample", {"counts": {"updates": 0, "releases": 0}, "grace_periods": []}),
        ("progress", {"done": 1, "of": 2}),
        ("sample", {"counts": {"updates": 10, "releases": 0}, "grace_periods": [25e-6, 25.1e-6, 1e-3]}),
        ("stress", {"record_every": 4}),
        ("stress", {"record_every": 1}),
    ):
        series(Event(kind, 1.0 + len(series.parts), fields))
    assert [part.name for part in series.parts] == ["original", "rounds", "rounds, all recorded"]
    assert series.parts[0].latencies == {bucket_of(25): 2, bucket_of(1000): 1}
    assert series.counted() == ["updates"]


def test_what_has_no_protocol_is_a_part_without_a_name() -> None:
    series = RunSeries()
    series(Event("sample", 3.0, {"counts": {"interrupts": 0}, "grace_periods": []}))
    assert [part.name for part in series.parts] == [""]
