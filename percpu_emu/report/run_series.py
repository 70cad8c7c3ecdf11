"""What the event stream of a run says over time, in bounded memory: counts, and a histogram of grace periods."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from percpu_emu.machine import Event

MOST_SAMPLES: Final = 240
"""Kept of a part, however long it runs; even."""
BUCKETS_PER_DECADE: Final = 10
SHORTEST_US: Final = 0.1
"""Shorter grace periods count as this long."""
_RECORDED: Final = "rounds, all recorded"

Sample: TypeAlias = "tuple[float, Mapping[str, int]]"
"""Seconds since the part began, and counts since then."""


@dataclass(frozen=True)
class Stretch:
    """From one time to another, in seconds, and the value meanwhile."""

    start: float
    end: float
    value: float


class Thinned:
    """Samples, of which every second one goes when there are too many; the last one always stays."""

    def __init__(self, most: int = MOST_SAMPLES) -> None:
        self._most = most
        self._kept: list[Sample] = []
        self._stride = 1
        self._seen = 0
        self._last: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Add one, later than all before it."""
        self._last = sample
        if self._seen % self._stride == 0:
            self._kept.append(sample)
        self._seen += 1
        if len(self._kept) == self._most:
            self._kept = self._kept[::2]
            self._stride *= 2

    def __iter__(self) -> Iterator[Sample]:
        yield from self._kept
        if self._last is not None and self._last is not self._kept[-1]:
            yield self._last


@dataclass
class Part:
    """A part of a run that counts from zero: one protocol, or the rounds of a stress."""

    name: str
    samples: Thinned = field(default_factory=Thinned)
    latencies: Counter[int] = field(default_factory=Counter)
    """Grace periods by bucket: the k-th begins at `bucket_us(k)`."""
    _began: float | None = None

    def add(self, seconds: float, counts: Mapping[str, int], grace_periods: Iterable[float]) -> None:
        """Take a sample in; `grace_periods` are those since the last one, in seconds."""
        if self._began is None:
            self._began = seconds
        self.samples.add((seconds - self._began, counts))
        self.latencies.update(bucket_of(latency * 1e6) for latency in grace_periods)

    def rates(self, name: str) -> list[Stretch]:
        """Of a count: how many a second from each sample to the next one."""
        points = [(seconds, counts[name]) for seconds, counts in self.samples if name in counts]
        if len(points) > 2 and points[-1][0] - points[-2][0] < (points[1][0] - points[0][0]) / 2:
            del points[-2]  # the last sample comes whenever the part ends: a rate over a moment would say nothing
        steps = pairwise(points)
        return [
            Stretch(start, end, (after - before) / (end - start))
            for (start, before), (end, after) in steps
            if end > start
        ]


class RunSeries:
    """A listener: the parts of a run, in their order."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def __call__(self, event: Event) -> None:
        """Take in one event; most kinds say nothing over time."""
        if event.kind == "protocol":
            self.parts.append(Part(event.fields["name"]))
        elif event.kind == "stress":
            self.parts.append(Part(_RECORDED if event.fields["record_every"] == 1 else "rounds"))
        elif event.kind == "sample":
            self._sample(event.seconds, **event.fields)

    def _sample(self, seconds: float, counts: Mapping[str, int], grace_periods: list[float]) -> None:
        if not self.parts:
            self.parts.append(Part(""))
        self.parts[-1].add(seconds, counts, grace_periods)

    def counted(self) -> list[str]:
        """Everything that was counted over time, and is not zero throughout."""
        last: list[Mapping[str, Any]] = [counts for part in self.parts for _, counts in [*part.samples][-1:]]
        return list(dict.fromkeys(name for counts in last for name, count in counts.items() if count))


def bucket_of(microseconds: float) -> int:
    """The bucket of the histogram that a latency belongs to."""
    return math.floor(BUCKETS_PER_DECADE * math.log10(max(microseconds, SHORTEST_US)))


def bucket_us(bucket: int) -> float:
    """Where a bucket begins, in microseconds."""
    return float(10 ** (bucket / BUCKETS_PER_DECADE))
