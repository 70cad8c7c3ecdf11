"""Random schedules of a model, by threads: the same result for any number of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from percpu_emu.explore import walks as w
from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.model import Model, OutOfRoom, flat
from percpu_emu.explore.store import MAX_CHOICES
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.virtual import layout, outcomes
from percpu_emu.lang.words import wrap

MAX_STEPS: Final = 10_000
PILOTS: Final = 64
"""Schedules whose longest says among how many steps PCT sets its change points."""
PILOT_LENGTH: Final = 32
"""How long PCT takes a schedule to be until then."""
FIRST_SHARE: Final = 64
SHARE_SECONDS: Final = 0.02
"""How long a thread runs before it looks at the clock: 0.02 s are ten thousand calls into compiled code."""
REPORT_SECONDS: Final = 0.1


class Broken(NamedTuple):
    """A schedule that violates a check, and its number."""

    check: str
    schedule: list[int]
    number: int


@dataclass(frozen=True)
class Walked:
    """What came of schedules 0 to `schedules` - 1."""

    schedules: int
    steps: int
    seconds: float
    violations: dict[str, int]
    """How many schedules violate each check."""
    first: Broken | None
    """The one with the lowest number; while they still run, None."""
    finals: int
    """How many ended where everything has run."""
    limited: int
    """How many were given up at the limit of steps."""
    marks: frozenset[str]
    """The marks that were met."""


Progress: TypeAlias = Callable[[Walked], None]


def random_schedules(
    model: Model,
    *,
    schedules: int,
    seconds: float,
    seed: int,
    depth: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    max_steps: int = MAX_STEPS,
) -> Walked:
    """Run that many random schedules, or as many as there is time for: uniform ones, or PCT's of a depth.

    The result depends on the model, the seed and on how many schedules were run. PCT's first `PILOTS` have no change
    points; the longest of them says among how many steps the others' are set. Raises OutOfRoom.
    """
    if depth is not None and depth < 1:
        raise ValueError(f"depth {depth}: 1 or more")
    while True:  # anew when a schedule writes another CPU's copy for the first time: halves are offered from then on
        run = _Run(_Plan(model, seed, depth or 0, max_steps), schedules, seconds, progress)
        try:
            if depth is not None:
                run.go(1, until=min(PILOTS, schedules))
                run.plan = replace(run.plan, length=run.longest)
            run.go(threads or len(os.sched_getaffinity(0)), until=schedules)
        except OutOfRoom as error:
            if error.reason != outcomes.LEARNED:
                raise
            model.know_remote(run.remote_words())
            continue
        return run.result()


@dataclass(frozen=True)
class _Plan:
    """What determines a schedule, besides its number."""

    model: Model
    seed: int
    depth: int
    max_steps: int
    length: int = PILOT_LENGTH


class _Walker:
    """What one thread works on: `vm` holds the known words and the log of the last step, so each has its own."""

    def __init__(self, plan: _Plan, *, pilot: bool) -> None:
        model, depth = plan.model, min(plan.depth, 1) if pilot else plan.depth
        specs = model.setting.contexts
        self.vm = model.vm.copy()
        self._state = np.zeros(model.buffer_words, dtype=np.int64)
        self._found = np.zeros(MAX_CHOICES, dtype=np.int64)
        header = {
            w.SEED: wrap(plan.seed),
            w.DEPTH: depth,
            w.LENGTH: PILOT_LENGTH if pilot else plan.length,
            w.MAX_STEPS: plan.max_steps,
            w.WORDS: int(model.vm[layout.WORD_COUNT]),
            w.TURNS: int(any(spec.kind == "offline" or spec.migrates > 0 for spec in specs)),
            w.FIRST: -1,
        }
        parts = {
            w.INITIAL: model.initial.tolist(),
            w.PRIORITIES: [0] * (len(specs) + model.limits.callbacks),
            w.POINTS: [0] * depth,
            w.TRACE: [0] * plan.max_steps,
        }
        self.walk = flat(header, parts, w.WALK_HEADER)
        self.run(0, 0)  # compiles, the first time: before the clock starts

    def run(self, first: int, last: int) -> int:
        """Run schedules `first` to `last` - 1; gives `last`, or the number of one that ran out of room."""
        return int(compiled().walks(self.vm, self.walk, self._state, self._found, first, last))

    def number(self, which: int) -> int:
        """A number in the header of `walk`."""
        return int(self.walk[which])

    def trace(self) -> list[int]:
        """The choices of the last schedule."""
        first, steps = self.number(w.TRACE), self.number(w.LAST_STEPS)
        return [int(choice) for choice in self.walk[first : first + steps]]


@dataclass
class _Run:
    """Schedules are handed out to threads in the order of their numbers; what was handed out is run to its end.

    So those that were run are always the first ones, and what came of them does not depend on who ran which.
    """

    plan: _Plan
    schedules: int
    seconds: float
    progress: Progress | None

    def __post_init__(self) -> None:
        self._walkers: list[_Walker] = []
        self._claimed = 0
        self._stopped = False
        self._out_of_room: list[tuple[int, int]] = []  # number of the schedule, reason
        self._lock = threading.Lock()
        self._walker(0)
        self._started = time.monotonic()

    def _walker(self, number: int) -> _Walker:
        """A walker for a schedule, and those behind it."""
        return _Walker(self.plan, pilot=self.plan.depth > 0 and number < PILOTS)

    # --- running

    def go(self, threads: int, until: int) -> None:
        """Run all schedules before number `until`, as far as there is time."""
        walkers = [self._walker(self._claimed) for _ in range(threads)]
        self._walkers += walkers
        with ThreadPoolExecutor(threads, "walks") as pool:
            jobs = [pool.submit(self._work, walker, until) for walker in walkers]
            try:
                while wait(jobs, REPORT_SECONDS).not_done:
                    if self.progress:
                        self.progress(self._walked())
            except BaseException:  # Ctrl-C, or the progress: the threads end with what they have begun
                self._stopped = True
                raise
        for job in jobs:
            job.result()
        if self._out_of_room:
            raise OutOfRoom(min(self._out_of_room)[1])

    def _work(self, walker: _Walker, until: int) -> None:
        share = FIRST_SHARE
        while claim := self._claim(share, until):
            start = time.monotonic()
            stopped_at = walker.run(*claim)
            if stopped_at < claim[1]:
                self._out_of_room.append((stopped_at, walker.number(w.REASON)))
                self._stopped = True
            share = _next_share(share, time.monotonic() - start)

    def _claim(self, share: int, until: int) -> tuple[int, int] | None:
        """The numbers of some schedules that no process has run; None if it is over."""
        with self._lock:
            late = time.monotonic() - self._started >= self.seconds
            if self._stopped or late or self._claimed >= until:
                return None
            first = self._claimed
            self._claimed = min(until, first + share)
            return first, self._claimed

    # --- results

    def remote_words(self) -> set[int]:
        """Copies of CPUs that contexts elsewhere have written."""
        return {address for walker in self._walkers for address in self.plan.model.remote_words(walker.vm)}

    @property
    def longest(self) -> int:
        """Steps of the longest schedule; 1 if all have none."""
        return max([1, *(walker.number(w.LONGEST) for walker in self._walkers)])

    def result(self) -> Walked:
        """What came of all schedules."""
        walked = self._walked()
        violating = [number for walker in self._walkers if (number := walker.number(w.FIRST)) >= 0]
        return replace(walked, first=self._again(min(violating))) if violating else walked

    def _again(self, number: int) -> Broken:
        """Run a schedule that violates a check once more, to have its choices."""
        walker = self._walker(number)
        walker.run(number, number + 1)
        return Broken(LABELS[walker.number(w.FIRST_CHECK)], walker.trace(), number)

    def _walked(self) -> Walked:
        """The sums so far."""
        counts = {name: self._sum(w.COUNTS + check) for check, name in enumerate(LABELS)}
        violations = {name: count for name, count in counts.items() if count}
        finals, limited = self._sum(w.FINALS), self._sum(w.LIMITED)
        marks = frozenset(name for walker in self._walkers for name in self.plan.model.marks(walker.vm))
        return Walked(
            schedules=finals + limited + sum(violations.values()),
            steps=self._sum(w.STEPS),
            seconds=time.monotonic() - self._started,
            violations=violations,
            first=None,
            finals=finals,
            limited=limited,
            marks=marks,
        )

    def _sum(self, which: int) -> int:
        return sum(walker.number(which) for walker in self._walkers)


def _next_share(share: int, seconds: float) -> int:
    """How many schedules to take next, so that they last as long as they should."""
    return max(1, min(share * 4, int(share * SHARE_SECONDS / max(seconds, 1e-6))))
