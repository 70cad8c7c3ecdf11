"""The exhaustive search: learn what conflicts, find every state, and the least preempted way to one that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from percpu_emu.explore import livelock
from percpu_emu.explore import reduction as r
from percpu_emu.explore import store as s
from percpu_emu.explore.kernels import kernels
from percpu_emu.explore.model import GROWS, Checks, Limits, Model, OutOfRoom, Words, flat
from percpu_emu.explore.store import Store
from percpu_emu.lang import flow, virtual
from percpu_emu.lang import instructions as i
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.setting import MAX_NUMBERS, Setting
from percpu_emu.lang.words import wrap

FIRST_ROOM: Final = 1 << 11
TOUCHED_ROWS: Final = 512
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


@dataclass
class Search:
    """One search of one model. After `run`, what it found; before, and meanwhile, how far it is."""

    model: Model
    reduce: bool = True
    budget: Budget = field(default_factory=Budget)
    progress: Progress | None = None
    judges: tuple[tuple[str, bool, Callable[[Words], str | None]], ...] = ()
    """Users' checks: "final" or "invariant", whether it is for every state, and what is wrong with one."""
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
        self.por = _reduction(self.model, self.reduce)
        self.store = _store(1, self.model.size)
        self._buffers = np.zeros((3, max(self.model.buffer_words, s.MAX_CHOICES)), dtype=np.int64)
        self._deadline = 0.0
        self._judged = 0
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
    def conflicting_words(self) -> int:
        """Words, and what else can conflict, that more than one operation was seen to touch."""
        rows, bits = int(self.por[r.ROWS]), int(self.por[r.BITS])
        first = int(self.por[r.TOUCHED])
        sets = self.por[first : first + rows * r.KINDS * bits].reshape(rows, r.KINDS, bits)
        touched = np.bitwise_or.reduce(sets, axis=1) if rows else sets
        return int((np.bitwise_count(touched.view(np.uint64)).sum(axis=-1) > 1).sum())

    @property
    def finals(self) -> npt.NDArray[np.int64]:
        """The states in which everything has run, a row each."""
        return np.asarray(self.store.states[: self.states][self.store.finals[: self.states] == 1])

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
        if (
            not self.stopped and not self._violated()
        ):  # a violation cuts ways off, and so may hide the only one to an end
            self._judge_progress()
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
        self.seconds += time.perf_counter() - start
        return best

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
            ran_out = int(kernels().wander(self.model.vm, self.por, self._buffers, self.model.initial, seed))
            if ran_out:
                raise OutOfRoom(ran_out)
            since, seed = (0 if self._news() else since + 1), seed + 1

    def _news(self) -> bool:
        """Whether something was learned for which states may be missing."""
        return bool(self.por[r.CHANGED] or self.model.vm[virtual.NEWS] & 1)

    def _forget_news(self) -> None:
        self.por[r.CHANGED] = 0
        self.model.vm[virtual.NEWS] &= ~1

    def _begin(self) -> None:
        self.store = self._new_store()
        self._judged, self._judgements = 0, []
        if not self._deadline:  # the clock does not run while the search is compiled, once on every machine
            self._call_expand(0, 0, s.ALL, turns=False, stop_at=1)
            self._deadline = time.monotonic() + self.budget.seconds
        kernels().begin(self.model.vm, self.store, self._buffers[0], self.model.initial)

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
            self._grow()
        elif reason >= s.ROOM:
            raise OutOfRoom(s.ROOM - reason)
        if self.por[r.FULL]:
            raise OutOfRoom(virtual.NO_WORD)
        self.expanded = at
        self._judge()
        self._check_budget()
        if self.progress:
            self.progress(self)
        return at

    def _call_expand(self, first: int, last: int, which: int, *, turns: bool, stop_at: int) -> tuple[int, int]:
        vm, por, store, buffers = self.model.vm, self.por, self.store, self._buffers
        reason, at = kernels().expand(vm, por, store, buffers, first, last, which, turns, stop_at)
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
        states, edges = self.states, min(int(self.store.numbers[s.EDGES]), len(self.store.sources))
        per_state = self.store.states[0].nbytes + 3 * 8 + 1 + 2 * 8
        return float(states * per_state + edges * 2 * 8) / 1e6

    # --- results

    def _violated(self) -> int:
        return int(self.store.numbers[s.VIOLATIONS]) + len(self._judgements)

    def _found(self) -> list[Found]:
        rows = self.store.violations[: self.store.numbers[s.VIOLATIONS]].tolist()
        found = [Found(LABELS[check], self._way_to(state, choice, depth)) for check, state, choice, depth in rows]
        return found + self._judgements

    def _judge(self) -> None:
        """Have users' checks look at the states that are new."""
        if not self.judges:
            return
        for number in range(self._judged, self.states):
            for check, every, wrong in self.judges:
                if every or self.store.finals[number]:
                    detail = wrong(self.store.states[number])
                    if detail:
                        self._judgements.append(Found(check, self.way_to(number), str(detail)))
        self._judged = self.states

    def executions(self) -> int | None:
        """How many interleavings the states stand for: ways from the start to an end; None with a way in circles."""
        after: dict[int, list[int]] = {}
        edges = min(int(self.store.numbers[s.EDGES]), len(self.store.sources))
        for source, target in zip(
            self.store.sources[:edges].tolist(), self.store.targets[:edges].tolist(), strict=True
        ):
            after.setdefault(source, []).append(target)
        ways: dict[int, int] = {}
        todo, on_way = [0], set[int]()
        while todo:
            at = todo[-1]
            if at in ways:
                on_way.discard(todo.pop())
                continue
            missing = [target for target in after.get(at, []) if target not in ways]
            if not missing:
                ways[at] = sum(ways[target] for target in after.get(at, [])) + int(self.store.finals[at])
                continue
            if on_way.intersection(missing):
                return None
            on_way.add(at)
            todo += missing
        return ways[0]

    def _judge_progress(self) -> None:
        """Find a state from which no end can be reached: contexts go on there for ever, whatever the scheduler does."""
        edges = int(self.store.numbers[s.EDGES])
        sources, targets = self.store.sources[:edges], self.store.targets[:edges]
        lost = livelock.lost_states(self.states, sources, targets, self.store.finals[: self.states] == 1)
        if len(lost):
            self._judgements.append(Found("livelock", self.way_to(int(lost[0]))))

    def cycles(self) -> bool:
        """Whether contexts can go round and round: then a pass needs a scheduler that is fair."""
        edges = min(int(self.store.numbers[s.EDGES]), len(self.store.sources))
        sources, targets = self.store.sources[:edges], self.store.targets[:edges]
        return bool(livelock.has_cycle(self.states, sources, targets))

    def way_to(self, state: int) -> tuple[int, ...]:
        """The schedule by which a state was found."""
        return self._way_to(state, -1, int(self.store.depths[state]))

    def _way_to(self, state: int, choice: int, depth: int) -> tuple[int, ...]:
        """The same, and then `choice` up to `depth` steps.

        How many steps a move has is what depths differ by: with more known conflicts it would be fewer by now.
        """
        depths = self.store.depths
        schedule = [choice] * (depth - int(depths[state]))
        while state > 0:
            parent = int(self.store.parents[state])
            schedule += [int(self.store.moves[state])] * int(depths[state] - depths[parent])
            state = parent
        return tuple(reversed(schedule))

    # --- room

    def _new_store(self) -> Store:
        return _store(FIRST_ROOM, self.model.size)

    def _grow(self) -> None:
        old = self.store
        self.store = _store(len(old.states) * 4, self.model.size)
        for mine, theirs in zip(self.store, old, strict=True):
            if mine is not self.store.table:
                mine[: len(theirs)] = theirs
        kernels().refill(self.store)


def _store(room: int, words: int) -> Store:
    return Store(
        states=np.zeros((room, words), dtype=np.int64),
        parents=np.zeros(room, dtype=np.int64),
        moves=np.zeros(room, dtype=np.int64),
        depths=np.zeros(room, dtype=np.int64),
        finals=np.zeros(room, dtype=np.int8),
        table=np.zeros(room * 2, dtype=np.int64),
        sources=np.zeros(room * 4, dtype=np.int64),
        targets=np.zeros(room * 4, dtype=np.int64),
        violations=np.zeros((s.MAX_VIOLATIONS, 4), dtype=np.int64),
        numbers=np.zeros(s.STORE_NUMBERS, dtype=np.int64),
    )


def _reduction(model: Model, enabled: bool) -> Words:
    """What is known of the operations before the search: what leads where."""
    code = model.code
    entries = [stretch.start for stretch in model.queued]
    operations = [at for at, row in enumerate(code.rows) if row[i.OPCODE] >= i.FIRST_OPERATION]
    numbers = {at: number for number, at in enumerate(operations)}
    blocks = len(operations) // 64 + 1

    def bits(rows: set[int]) -> list[int]:
        found = sum(1 << numbers[at] for at in rows if at in numbers)
        return [int(wrap(found >> 64 * block & (1 << 64) - 1)) for block in range(blocks)]

    def of(*opcodes: int) -> list[int]:
        return bits({at for at in operations if code.rows[at][i.OPCODE] in opcodes})

    queues = (i.CALL_RCU,) if _may_interrupt(model) else ()
    keys = TOUCHED_ROWS + 2 * (model.limits.words + model.limits.areas + model.limits.objects)
    table = 1 << (keys * 4 - 1).bit_length()
    now = [flow.reachable(code, [at], entries, through_waits=False) for at in operations]
    ever = [flow.reachable(code, [at], entries, through_waits=True) for at in operations]
    behind = [flow.reachable(code, flow.following(code, at), entries, through_waits=False) for at in operations]
    header = {
        r.ENABLED: int(enabled),
        r.MAX_ROWS: keys,
        r.HASH_MASK: table - 1,
        r.BITS: blocks,
    }
    parts: dict[int, list[int]] = {
        r.NUMBERS: [numbers.get(at, -1) for at in range(len(code.rows))],
        r.NOW: [word for rows in now for word in bits(rows)],
        r.EVER: [word for rows in ever for word in bits(rows)],
        r.BEHIND: [word for rows in behind for word in bits(rows)],
        r.WAITS: of(i.CALL_RCU, i.SYNCHRONIZE_RCU),
        r.ENTERS: of(i.RCU_READ_LOCK, i.PREEMPT_DISABLE, i.LOCAL_IRQ_SAVE, i.LOCAL_IRQ_RESTORE, *queues),
        r.BARRIERS: of(i.RCU_BARRIER),
        r.KEYS: [virtual.EMPTY] * table,
        r.KEY_ROWS: [0] * table,
        r.TOUCHED: [0] * keys * r.KINDS * blocks,
        r.BLOCKS_INSIDE: _blocks_inside(model),
    }
    return flat(header, parts, r.POR_HEADER)


def _blocks_inside(model: Model) -> list[int]:
    """For each row, whether its program may wait or poll as a reader: in a section, an interrupt or a callback."""
    code, waits = model.code, {i.SYNCHRONIZE_RCU, i.SPIN_UNTIL}
    readers = [s for s, spec in zip(model.stretches, model.setting.contexts, strict=True) if spec.kind == "interrupt"]
    flags = [0] * len(code.rows)
    for stretch in code.stretches:
        rows = range(stretch.start, stretch.end)
        may_wait = any(code.rows[at][i.OPCODE] in waits or at in code.polling for at in rows)
        always = any(stretch is reader for reader in [*readers, *model.queued])
        if may_wait and (always or flow.waits_as_reader(code, stretch, waits)):
            flags[stretch.start : stretch.end] = [1] * len(rows)
    return flags


def _may_interrupt(model: Model) -> bool:
    """Whether a callback may run on a CPU, where it is a reader as an interrupt is: a context there queues it."""
    contexts = zip(model.stretches, model.setting.contexts, strict=True)
    starts = [stretch.start for stretch, spec in contexts if spec.home is not None]
    entries = [stretch.start for stretch in model.queued]
    rows = flow.reachable(model.code, starts, entries, through_waits=True)
    return any(model.code.rows[at][i.OPCODE] == i.CALL_RCU for at in rows)


def with_room(setting: Setting, checks: Checks, search: Callable[[Model], Any], limits: Limits | None = None) -> Any:
    """Make a model and search it, again with more room for as long as it runs out of some."""
    limits = limits or Limits()
    while True:
        try:
            return search(Model(setting, checks, limits))
        except OutOfRoom as error:
            room = MAX_NUMBERS - len(setting.contexts)
            if error.reason not in GROWS or (error.reason == virtual.NO_SLOT and limits.slots >= room):
                raise
            limits = limits.grown(error.reason)
            limits = replace(limits, slots=min(limits.slots, room))
