"""A scenario's own checks while a search goes on: which states each of them looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from percpu_emu.explore import states
from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.model import Model, Words
from percpu_emu.explore.store import Store
from percpu_emu.lang import instructions as i
from percpu_emu.lang.setting import FAIL, MIGRATE
from percpu_emu.lang.source import Site
from percpu_emu.lang.virtual import layout


class OwnCheck(NamedTuple):
    """A check of the scenario's own, for the states of one model."""

    check: str
    """Its label: `final`, `invariant` or `after`."""
    when: Literal["the end", "every state", "a step"]
    wrong: Callable[[Words], str | None]
    """What is wrong with a state; None for nothing."""
    name: str = ""
    """Of a step, as the scenario has it; ..."""
    sites: frozenset[Site] = frozenset()
    """... and where it stands."""

    def looks(self, *, final: bool, site: Site | None = None) -> bool:
        """Whether it looks at a state in which everything has run or not, and to which the operation at `site` led."""
        return self.when == "every state" or (final if self.when == "the end" else site in self.sites)


class Judgement(NamedTuple):
    """What a check says of a state."""

    check: str
    state: int
    detail: str
    source: int = -1
    """Of a check right after a step: the state before it, ..."""
    choice: int = -1
    """... and the step."""


class Judging:
    """Has the checks look at what a search has found so far, each state and each step once."""

    def __init__(self, model: Model, checks: Sequence[OwnCheck]) -> None:
        self.happened: set[str] = set()
        """The steps that were taken, of those that checks name."""
        self._model = model
        self._of_states = [check for check in checks if check.when != "a step"]
        self._of_steps = [check for check in checks if check.when == "a step"]
        sites = frozenset().union(*(check.sites for check in self._of_steps))
        self._rows = np.array([row for row, site in model.code.sites.items() if site in sites], dtype=np.int64)
        self._seen_states = self._seen_edges = 0
        self._looked: set[tuple[int, int]] = set()

    def begin(self) -> None:
        """A search begins anew: nothing is looked at yet."""
        self._seen_states = self._seen_edges = 0
        self._looked.clear()

    def look(self, store: Store, found: int, deadline: float) -> Iterator[Judgement]:
        """What is wrong with the states that are new, `found` in all, and with the steps; up to the deadline."""
        first, self._seen_states = self._seen_states, found
        for number in range(first, found) if self._of_states else ():
            if time.monotonic() > deadline:
                return
            final = bool(store.finals[number])
            for check in self._of_states:
                if check.looks(final=final) and (said := check.wrong(store.states[number])):
                    yield Judgement(check.check, number, said)
        for source, target, choice, row in self._steps(store) if len(self._rows) else ():
            if time.monotonic() > deadline:
                return
            if (row, target) not in self._looked:
                self._looked.add((row, target))
                for said in self._after(self._model.code.sites[row], store.states[target]):
                    yield Judgement("after", target, said, source, choice)

    def _after(self, site: Site, state: Words) -> Iterator[str]:
        for check in self._of_steps:
            if check.looks(final=False, site=site):
                self.happened.add(check.name)
                if said := check.wrong(state):
                    yield said_after(site, said)

    def _steps(self, store: Store) -> Iterator[tuple[int, int, int, int]]:
        """The new edges that are named steps, done whole: source, target, choice, row of the operation."""
        sources, targets = (edges[self._seen_edges :] for edges in states.edges(store))
        choices = states.choices(store)[self._seen_edges :].astype(np.int64)
        self._seen_edges += len(choices)
        vm, contexts = self._model.vm, choices % MIGRATE
        blocks = vm[vm[layout.BLOCKS] + contexts]
        rows = store.states[sources, blocks + layout.PC]
        named = np.isin(rows, self._rows) & ((choices < MIGRATE) | (choices >= FAIL))
        begun = store.states[sources, blocks + layout.WAIT] & layout.REGISTERED != 0
        for at in np.flatnonzero(named).tolist():
            row, source, context = int(rows[at]), int(sources[at]), int(contexts[at])
            opcode = self._model.code.rows[row][i.OPCODE]
            if opcode in (i.SYNCHRONIZE_RCU, i.RCU_BARRIER) and not begun[at]:
                continue  # it only begins to wait
            if opcode == i.SPIN_UNTIL and compiled().begins_to_spin(vm, self._buffer(store, source), context):
                continue
            yield source, int(targets[at]), int(choices[at]), row

    def _buffer(self, store: Store, state: int) -> Words:
        buffer = np.zeros(self._model.buffer_words, dtype=np.int64)
        buffer[: self._model.size] = store.states[state]
        return buffer


def said_after(site: Site, said: str) -> str:
    """What a check says of the state right after an operation."""
    return f"after {site}: {said}"
