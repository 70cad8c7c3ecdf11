"""The rules of `lang.setting`, done the plain way: every schedule of a small setting, one after the other.

Plain Python, with the programs as generators: it shares with the engines only the language's front end (`in_words`) and
the layout of memory. The measure for the search that is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import Setting

from .oracle_checks import Checks, check_bound, check_end, may_fail_after_callback
from .oracle_model import Model, TooMany
from .oracle_programs import Violated

__all__ = [
    "Checks",
    "Model",
    "Outcome",
    "TooMany",
    "Violated",
    "check_end",
    "enumerate_schedules",
    "reachable",
    "reachable_from",
]

FinalState: TypeAlias = tuple[frozenset[tuple[int, int]], tuple[int, ...]]


@dataclass
class Outcome:
    """What all schedules of a setting can come to."""

    finals: set[FinalState] = field(default_factory=set)
    violations: set[str] = field(default_factory=set)
    after_callbacks: set[str] = field(default_factory=set)
    """Checks that fail after a callback, unless registers explain the difference."""
    marks: set[str] = field(default_factory=set)
    """Those that some schedule reaches."""
    schedules: int = 0
    states: int = 0
    examples: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """For each violation, one schedule."""

    def look_at(self, model: Model, path: tuple[int, ...]) -> None:
        """Check a state. What is wrong with it ends no schedule."""
        self.states += 1
        try:
            check_bound(model)
            if model.finished():
                self.finals.add((frozenset(model.words().items()), model.results()))
                check_end(model)
            elif not model.enabled():
                raise Violated("deadlock", "no context can take a step, and one has to")
        except Violated as violated:
            self.violate(violated.check, path)

    def look_back_at_step(self, model: Model) -> None:
        """Check what a step has led to, which may be a state that other steps lead to as well."""
        if model.ended is not None and model.ended.queued:
            self.after_callbacks |= may_fail_after_callback(model)

    def violate(self, check: str, path: tuple[int, ...]) -> None:
        self.violations.add(check)
        self.examples.setdefault(check, path)


def enumerate_schedules(
    setting: Setting,
    left: int | None = None,
    total: ProgramFunction | None = None,
    bound: int | None = None,
    *,
    exclusive: bool = False,
    max_schedules: int = 100_000,
) -> Outcome:
    """Run every schedule: each ends where nothing can be done any more, or in a violation of a step."""
    return _complete(setting, Checks(left, total, bound, exclusive), lambda first: _schedules(first, max_schedules))


def _schedules(first: Model, limit: int) -> Outcome:
    outcome = Outcome()
    waiting: list[tuple[Model, tuple[int, ...]]] = [(first, ())]
    while waiting:
        model, path = waiting.pop()
        outcome.look_at(model, path)
        choices = model.enabled()
        outcome.schedules += not choices
        for choice in reversed(choices):
            after = model.copy()
            try:
                after.step(choice)
            except Violated as violated:
                outcome.violate(violated.check, (*path, choice))
                outcome.schedules += 1
            else:
                outcome.look_back_at_step(after)
                waiting.append((after, (*path, choice)))
        if outcome.schedules > limit:
            raise TooMany(f"more than {limit} schedules")
    return outcome


def reachable(
    setting: Setting,
    left: int | None = None,
    total: ProgramFunction | None = None,
    bound: int | None = None,
    *,
    exclusive: bool = False,
    max_states: int = 1_000_000,
) -> Outcome:
    """The same, but no state is entered twice, so that there may be ways in circles; `schedules` has no meaning."""
    return _complete(setting, Checks(left, total, bound, exclusive), lambda first: reachable_from(first, max_states))


def reachable_from(first: Model, max_states: int = 1_000_000) -> Outcome:
    """What all schedules that begin with this state can come to."""
    return _Graph(first, max_states).outcome


def _complete(setting: Setting, checks: Checks, search: Callable[[Model], Outcome]) -> Outcome:
    """Search again until read-modify-writes come in halves wherever a context elsewhere was seen to write."""
    split = frozenset[int]()
    while True:
        first = Model(setting, checks, split)
        outcome = search(first)
        outcome.marks = first.marks
        if first.written_remotely <= split:
            return outcome
        split |= first.written_remotely


class _Graph:
    """All states that can be reached, and which of them lead where."""

    def __init__(self, first: Model, limit: int) -> None:
        self.outcome = Outcome()
        self._numbers: dict[object, int] = {}
        self._before: list[list[int]] = []
        """For each state, those that lead to it."""
        self._ends: set[int] = set()
        """The states in which a schedule can end."""
        self._paths: list[tuple[int, ...]] = []
        waiting: list[tuple[int, Model]] = []
        self._enter(first, None, waiting)
        while waiting:
            self._expand(*waiting.pop(), waiting)
            if len(self._numbers) > limit:
                raise TooMany(f"more than {limit} states")
        self._look_for_livelock()

    def _enter(self, model: Model, source: int | None, waiting: list[tuple[int, Model]], choice: int = 0) -> None:
        key = model.key()
        number = self._numbers.setdefault(key, len(self._numbers))
        if number == len(self._before):
            path = () if source is None else (*self._paths[source], choice)
            self._before.append([])
            self._paths.append(path)
            self.outcome.look_at(model, path)
            waiting.append((number, model))
        if source is not None:
            self._before[number].append(source)

    def _expand(self, number: int, model: Model, waiting: list[tuple[int, Model]]) -> None:
        choices = model.enabled()
        if not choices or model.finished():
            self._ends.add(number)
        for choice in choices:
            after = model.copy()
            try:
                after.step(choice)
            except Violated as violated:
                self.outcome.violate(violated.check, (*self._paths[number], choice))
                self._ends.add(number)
            else:
                self.outcome.look_back_at_step(after)
                self._enter(after, number, waiting, choice)

    def _look_for_livelock(self) -> None:
        """States from which steps are possible for ever: no final state, no deadlock and no violation is reached."""
        ending, todo = set(self._ends), list(self._ends)
        while todo:
            new = [number for number in self._before[todo.pop()] if number not in ending]
            ending.update(new)
            todo += new
        for number in range(len(self._before)):
            if number not in ending:
                self.outcome.violate("livelock", self._paths[number])
