"""The exhaustive search: learn what conflicts, find every state, and the least preempted way to one that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from percpu_emu.explore import conflicts, graph, states
from percpu_emu.explore import reduction as r
from percpu_emu.explore import store as s
from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.fairness import Steps
from percpu_emu.explore.judging import Judging, OwnCheck
from percpu_emu.explore.lock_order import Order, circle_in, takings_of
from percpu_emu.explore.lock_schedule import showing
from percpu_emu.explore.model import Model, OutOfRoom
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.virtual import layout, outcomes

WANDERINGS: Final = 3
"""So many ways without anything new end the learning before a search."""
Progress = Callable[["Search"], None]


@dataclass(frozen=True)
class Budget:
    """How far a search may go."""

    states: int = 50_000_000
    seconds: float = 3600.0
    megabytes: int = 4096


@dataclass(frozen=True)
class Found:
    """A violation: which check, and the schedule that leads to it, step by step."""

    check: str
    schedule: tuple[int, ...]
    detail: str = ""
    """What a user's check says."""
    circle: tuple[Order, ...] = ()
    """Of a circular wait: the orders in which locks are taken."""
    starved: tuple[int, ...] = ()
    """Of starvation: the contexts that never end, ..."""
    repeated: int = 0
    """... while so many steps at the end can come again and again."""


@dataclass
class Search:
    """One search of one model. After `run`, what it found; before, and meanwhile, how far it is."""

    model: Model
    reduce: bool = True
    budget: Budget = field(default_factory=Budget)
    progress: Progress | None = None
    judges: tuple[OwnCheck, ...] = ()
    """The scenario's own checks."""
    fair: bool = False
    """Whether no context may be starved by a fair scheduler: only without reduction."""
    preemptions: int | None = None
    """Where the deepening search stops."""
    reached: int = 0
    """How many preemptions the deepening search has tried completely, plus 1."""
    rounds: int = 0
    """How often it began anew, with more known conflicts."""
    expanded: int = 0
    stopped: str = ""
    """Why it is not complete; "" where it is."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.por = conflicts.known(self.model, self.reduce)
        self.store = states.new_store(self.model.size)
        self._buffers = np.zeros((3, max(self.model.buffer_words, s.MAX_CHOICES)), dtype=np.int64)
        self._deadline = 0.0
        self._judging = Judging(self.model, self.judges)
        self._judgements: list[Found] = []

    @property
    def states(self) -> int:
        """How many were found."""
        return int(self.store.numbers[s.FOUND])

    @property
    def steps(self) -> int:
        """How many were taken."""
        return int(self.store.numbers[s.STEPS])

    @property
    def marks(self) -> frozenset[str]:
        """The marks that were reached."""
        return self.model.marks()

    @property
    def happened(self) -> frozenset[str]:
        """The steps that were taken, of those after which a check looks."""
        return frozenset(self._judging.happened)

    @property
    def conflicting_words(self) -> int:
        """Words, and what else can conflict, that more than one operation was seen to touch."""
        return conflicts.words(self.por)

    @property
    def finals(self) -> npt.NDArray[np.int64]:
        """The states in which everything has run, a row each."""
        return np.asarray(self.store.states[: self.states][self._ended])

    def estimate(self) -> float:
        """Which part of the states found so far is expanded: 1 at the end, and low while much more is coming."""
        return self.expanded / max(1, self.states)

    def run(self, *, every: bool = False) -> list[Found]:
        """Find every state, up to the first violation, or to `every` one of them; those that were met."""
        start = time.perf_counter()
        self._learn()
        while True:
            self.rounds += 1
            self._forget_news()
            self._begin()
            self._expand_all(s.MAX_VIOLATIONS if every else 1)
            if self.stopped or (self._violated() and not every) or not self._news():
                break
        if not self.stopped and not self._violated():  # a violation may cut off the only way to an end
            self._judge_progress()
        if not self._violated():
            self._judge_lock_order()
        self.seconds += time.perf_counter() - start
        return self._found()

    def least_preempted(self) -> Found | None:
        """A violation with the fewest preemptions, and of those one with the fewest steps; None if there is none."""
        start = time.perf_counter()
        self._learn()
        best = None
        while True:
            self._forget_news()
            self._begin()
            best = self._deepen()
            if self.stopped or not self._news():
                break
        if best is None and not self.stopped:
            self._judge_progress()
        if best is None and not self._violated():
            self._judge_lock_order()
        self.seconds += time.perf_counter() - start
        return best or next(iter(self._judgements), None)

    def fewest_steps(self, preemptions: int) -> Found | None:
        """A violation with the fewest preemptions, at most so many, and of those one with the fewest steps.

        A step at a time, and states in the order of their distance from the start: so only without reduction.
        """
        self._learn()
        for limit in range(preemptions + 1):
            while not self.stopped:
                self._forget_news()
                self._begin()
                self.store.numbers[s.LIMIT] = limit
                at = 0
                while at < self.states and not self.stopped and not self._violated():
                    at = self._expand(at, min(self.states, at + self._chunk), s.BOUNDED, turns=True, stop_at=1)
                if self._violated():
                    return min(self._found(), key=lambda found: len(found.schedule))
                if not self._news():
                    break
        return None

    # --- loops

    def _learn(self) -> None:
        """Wander about until nothing new is learned: then one round of the search is often enough."""
        since = seed = 0
        while since < WANDERINGS and seed < 8 * WANDERINGS:
            self._forget_news()
            ran_out = int(compiled().wander(self.model.vm, self.por, self._buffers, self.model.initial, seed))
            if ran_out:
                raise OutOfRoom(ran_out)
            since, seed = (0 if self._news() else since + 1), seed + 1

    def _news(self) -> bool:
        """Whether something was learned for which states may be missing."""
        return bool(self.por[r.CHANGED] or self.model.vm[layout.NEWS] & 1)

    def _forget_news(self) -> None:
        self.por[r.CHANGED] = 0
        self.model.vm[layout.NEWS] &= ~1

    def _begin(self) -> None:
        self.store = states.new_store(self.model.size)
        self._judging.begin()
        self._judgements = []
        if not self._deadline:  # the clock does not run while the search is compiled, once on every machine
            self._call_expand(0, 0, s.ALL, turns=False, stop_at=1)
            self._deadline = time.monotonic() + self.budget.seconds
        compiled().begin(self.model.vm, self.store, self._buffers[0], self.model.initial)

    def _expand_all(self, stop_at: int) -> None:
        at = 0
        while at < self.states and not self.stopped and self._violated() < stop_at:
            at = self._expand(at, min(self.states, at + self._chunk), s.ALL, turns=False, stop_at=stop_at)

    def _deepen(self) -> Found | None:
        """All states that can be reached with 0 preemptions, then 1, and so on, until a violation is among them."""
        lowest = self.reached = 0
        while lowest < self.states and not self.stopped:
            at = lowest
            while at < self.states and not self.stopped:
                at = self._expand(
                    at, min(self.states, at + self._chunk), s.GOING_ON, turns=True, stop_at=s.MAX_VIOLATIONS
                )
            if self._violated():
                break
            highest, at = self.states, lowest
            while at < highest and not self.stopped:
                at = self._expand(
                    at, min(highest, at + self._chunk), s.PREEMPTING, turns=True, stop_at=s.MAX_VIOLATIONS
                )
            # A preempting move may be wrong by itself; one that only leads there may be shorter, and is looked at next.
            lowest = highest
            self.reached += 1
            if self.preemptions is not None and self.reached > self.preemptions and lowest < self.states:
                self.stopped = f"limit of {self.preemptions} preemptions"
        return min(self._found(), key=lambda violation: len(violation.schedule), default=None)

    _chunk = 20_000

    def _expand(self, first: int, last: int, which: int, *, turns: bool, stop_at: int) -> int:
        reason, at = self._call_expand(first, last, which, turns=turns, stop_at=stop_at)
        if reason == s.FULL:
            self.store = states.grown(self.store)
        elif reason >= s.ROOM:
            raise OutOfRoom(s.ROOM - reason)
        if self.por[r.FULL]:
            raise OutOfRoom(outcomes.NO_WORD)
        self.expanded = at
        self._judge()
        self._check_budget()
        if self.progress:
            self.progress(self)
        return at

    def _call_expand(self, first: int, last: int, which: int, *, turns: bool, stop_at: int) -> tuple[int, int]:
        vm, por, store, buffers = self.model.vm, self.por, self.store, self._buffers
        reason, at = compiled().expand(vm, por, store, buffers, first, last, which, turns, stop_at)
        return int(reason), int(at)

    def _check_budget(self) -> None:
        if self.states > self.budget.states:
            self.stopped = f"limit of {self.budget.states} states"
        elif time.monotonic() > self._deadline:
            self.stopped = f"limit of {self.budget.seconds:g} s"
        elif self.megabytes > self.budget.megabytes:
            self.stopped = f"limit of {self.budget.megabytes} MB (--max-megabytes)"

    @property
    def megabytes(self) -> float:
        """What the states, the table and the edges that there are take; not the room that is kept for more."""
        return states.used_bytes(self.store) / 1e6

    # --- results

    def _violated(self) -> int:
        return int(self.store.numbers[s.VIOLATIONS]) + len(self._judgements)

    def _found(self) -> list[Found]:
        rows = self.store.violations[: self.store.numbers[s.VIOLATIONS]].tolist()
        found = [
            Found(LABELS[check], states.way_to(self.store, state, choice, depth))
            for check, state, choice, depth in rows
        ]
        return found + self._judgements

    def _judge(self) -> None:
        """Have the scenario's own checks look at what is new."""
        for said in self._judging.look(self.store, self.states, self._deadline):
            before = () if said.choice < 0 else (*self.way_to(said.source), said.choice)
            self._judgements.append(Found(said.check, before or self.way_to(said.state), said.detail))

    def executions(self) -> int | None:
        """How many interleavings the states stand for: ways from the start to an end; None with a way in circles."""
        return graph.ways(*states.edges(self.store), self._ended)

    def _judge_progress(self) -> None:
        """Find a state from which no end can be reached: contexts go on there for ever, whatever the scheduler does."""
        lost = graph.lost_states(self.states, *states.edges(self.store), self._ended)
        if len(lost):
            self._judgements.append(Found("livelock", self.way_to(int(lost[0]))))
        elif self.fair:
            self._judge_fairness()

    def _judge_fairness(self) -> None:
        """Find a circle that is fair, and in which a context never ends."""
        choices = states.choices(self.store).astype(np.int64)
        steps = Steps(self.model, self.store.states[: self.states], *states.edges(self.store), choices, self._deadline)
        try:
            found = steps.starvation()
        except TimeoutError:
            self.stopped = f"limit of {self.budget.seconds:g} s"
            return
        if found is not None:
            schedule = (*self.way_to(found.state), *found.choices)
            around = len(found.choices)
            self._judgements.append(Found("starvation", schedule, starved=found.starved, repeated=around))

    def _judge_lock_order(self) -> None:
        """Find a circle in the orders of locks that were seen, each in some schedule: also where the search stopped."""
        circle = circle_in(takings_of(self.model))
        if circle:
            self._judgements.append(Found("circular-wait", showing(self.model, circle), circle=circle))

    def cycles(self) -> bool:
        """Whether contexts can go round and round: then a pass needs a scheduler that is fair."""
        return bool(graph.has_cycle(self.states, *states.edges(self.store)))

    @property
    def _ended(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.store.finals[: self.states] == 1)

    def way_to(self, state: int) -> tuple[int, ...]:
        """The schedule by which a state was found."""
        return states.way_to(self.store, state)
