"""Small settings in the engine: what a search of one finds, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Search
from percpu_emu.lang.setting import ContextSpec, Setting

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction

    from .oracle import FinalState


@dataclass(frozen=True)
class Searched:
    """A search that was run to its end, and the checks that failed."""

    search: Search
    violations: set[str]

    @property
    def states(self) -> int:
        return self.search.states

    @property
    def executions(self) -> int | None:
        return self.search.executions()

    @property
    def finals(self) -> set[FinalState]:
        """As the oracle gives them: words that are not 0, and results."""
        model = self.search.model
        return {(frozenset(model.words(state).items()), model.results(state)) for state in self.search.finals}


def searched(setting: Setting, checks: Checks | None = None, *, reduce: bool = True) -> Searched:
    """Every state of a setting, past violations too."""

    def go(model: Model) -> Searched:
        search = Search(model, reduce)
        found = search.run(every=True)
        assert not search.stopped
        return Searched(search, {violation.check for violation in found})

    done: Searched = with_room(setting, checks or Checks(), go)
    return done


def least_preemptions(setting: Setting, checks: Checks | None = None, *, reduce: bool = True) -> tuple[str, int] | None:
    """The check that fails with the fewest preemptions, and with how many; None if none does."""

    def go(model: Model) -> tuple[str, int] | None:
        search = Search(model, reduce)
        found = search.least_preempted()
        assert not search.stopped
        return None if found is None else (found.check, search.reached)

    least: tuple[str, int] | None = with_room(setting, checks or Checks(), go)
    return least


def task(program: ProgramFunction, cpu: int | None = None, *arguments: int, turns: int = 1) -> ContextSpec:
    """A task."""
    return ContextSpec(program.__name__, program, "task", cpu, arguments, turns)


def of(*contexts: ContextSpec, cpus: int = 2, setup: ProgramFunction | None = None) -> Setting:
    """A setting of these."""
    return Setting(cpus, contexts, setup)
