"""Progress under a fair scheduler: circles of states in which no context waits for its turn, and one never ends.

A scheduler is fair here if it lets every context that can go on in each state of a circle take a step there (weak
fairness); what can go on only now and then may be passed over for ever. A circle may as well be the whole of what leads
back and forth between its states: more states and steps make it no less fair. So it is enough to look at the strongly
connected parts of the graph of all states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percpu_emu.explore import graph
from percpu_emu.explore.model import Model
from percpu_emu.lang.setting import HALF, MIGRATE
from percpu_emu.lang.virtual import layout

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Starvation:
    """A circle: the state in which it begins, the choices that lead around, and who never ends."""

    state: int
    choices: tuple[int, ...]
    starved: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """All states of a plain search, and the steps between them."""

    model: Model
    states: Any
    sources: Numbers
    targets: Numbers
    choices: Numbers
    deadline: float

    def starvation(self) -> Starvation | None:
        """A circle in which a context never ends, if it can be one that takes no step of it; None for none.

        Raises TimeoutError.
        """
        found = next(self._fair_parts(np.ones(len(self.sources), dtype=np.bool_)), None)
        if found is None:
            return None
        for context in self._unfinished(found[1]):
            without = next(self._fair_parts(self.contexts != context, context), None)
            if without is not None:
                return self._told(*without, [context])
        return self._told(*found, self._unfinished(found[1]))

    @property
    def contexts(self) -> Numbers:
        """Whose each step is."""
        return self.choices % MIGRATE

    def _fair_parts(self, kept: Flags, victim: int | None = None) -> Iterator[tuple[Flags, Numbers]]:
        """Parts of the graph of some steps that are fair circles: the steps, and the states, by the first of these."""
        parts = graph.strong_parts(len(self.states), self.sources[kept], self.targets[kept], self.deadline)
        inner = kept & (parts[self.sources] >= 0) & (parts[self.sources] == parts[self.targets])
        for part in dict.fromkeys(parts[np.sort(self.sources[inner])].tolist()):
            steps, states = inner & (parts[self.sources] == part), np.flatnonzero(parts == part)
            unfinished = self._unfinished(states)
            if unfinished and (victim is None or victim in unfinished) and self._is_fair(steps, states):
                yield steps, states

    def _is_fair(self, steps: Flags, states: Numbers) -> bool:
        moving = set(self.contexts[steps].tolist())
        return all(
            context in moving or not self._can_go_on(context, states).all() for context in self._unfinished(states)
        )

    def _unfinished(self, states: Numbers) -> list[int]:
        """The contexts that are due in each of the states: not over, and no interrupt that has not begun."""
        vm = self.model.vm
        found = []
        for context in range(int(vm[layout.CHECKER])):
            status = self.states[states, self.model.block(context) + layout.STATUS]
            waits = (status == layout.WAITING) & (vm[vm[layout.KINDS] + context] != layout.INTERRUPT)
            if ((status == layout.RUNNING) | waits).all():
                found.append(context)
        return found

    def _can_go_on(self, context: int, states: Numbers) -> Flags:
        """In which of the states a context can take a step; a move to another CPU is none, unless it has to move."""
        moves = (self.choices >= MIGRATE) & (self.choices < HALF) & ~self._off_line(context)
        return np.isin(states, self.sources[(self.contexts == context) & ~moves])

    def _off_line(self, context: int) -> Flags:
        """Of each step, whether the CPU of a context is off line before it."""
        cpus = self.states[self.sources, self.model.block(context) + layout.CPU]
        online = self.states[self.sources, layout.ONLINE] >> np.maximum(cpus - 1, 0) & 1
        flags: Flags = (cpus > 0) & (online == 0)
        return flags

    # --- a way around

    def _told(self, steps: Flags, states: Numbers, starved: Sequence[int]) -> Starvation:
        """A way around the part that is fair by itself, from its first state."""
        free = {context: states[~self._can_go_on(context, states)] for context in self._unfinished(states)}
        way = _Way(self.sources[steps], self.targets[steps], self.choices[steps], int(states[0]))
        for context, elsewhere in free.items():
            if not (way.passes(elsewhere) or way.has_step_of(context)):
                way.go_to(elsewhere, context)
        way.close()
        return Starvation(int(states[0]), tuple(way.choices), tuple(starved))


class _Way:
    """A way through a strongly connected part."""

    def __init__(self, sources: Numbers, targets: Numbers, choices: Numbers, start: int) -> None:
        self.choices: list[int] = []
        self._after: dict[int, list[tuple[int, int]]] = {}
        for source, target, choice in zip(sources.tolist(), targets.tolist(), choices.tolist(), strict=True):
            self._after.setdefault(source, []).append((target, choice))
        self._states = [start]

    def passes(self, states: Numbers) -> bool:
        return not set(self._states).isdisjoint(states.tolist())

    def has_step_of(self, context: int) -> bool:
        return any(choice % MIGRATE == context for choice in self.choices)

    def go_to(self, states: Numbers, context: int) -> None:
        """Go on to one of the states; where there is none, until the context has taken a step."""
        goals = set(states.tolist())
        self._walk(lambda state, choice: state in goals if goals else choice % MIGRATE == context)

    def close(self) -> None:
        """Go back to the start, by one step at least."""
        if len(self._states) == 1 or self._states[-1] != self._states[0]:
            self._walk(lambda state, _: state == self._states[0])

    def _walk(self, is_goal: Any) -> None:
        """The shortest way to a goal."""
        first = self._states[-1]
        came: dict[int, tuple[int, int]] = {}
        todo = [first]
        for state in todo:  # which grows meanwhile
            for target, choice in self._after.get(state, []):
                if is_goal(target, choice):
                    self._take(first, state, came, target, choice)
                    return
                if target not in came and target != first:
                    came[target] = state, choice
                    todo.append(target)
        raise AssertionError("the part is strongly connected")

    def _take(self, first: int, state: int, came: dict[int, tuple[int, int]], target: int, choice: int) -> None:
        steps = [(target, choice)]
        while state != first:
            before, by = came[state]
            steps.append((state, by))
            state = before
        for reached, by in reversed(steps):
            self._states.append(reached)
            self.choices.append(by)
