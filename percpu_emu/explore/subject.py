"""What is explored: a setting, what is checked of it, and the words to tell people about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from percpu_emu.explore.judge import Judge
from percpu_emu.explore.model import Checks, Model, Words
from percpu_emu.lang.naming import Naming
from percpu_emu.lang.setting import Setting, unit_word
from percpu_emu.lang.source import Site
from percpu_emu.lang.state import State


@dataclass(frozen=True)
class After:
    """A check of the scenario's own that looks at the state right after a step."""

    step: str
    """As the scenario names it: `release:3`, or a mark."""
    sites: frozenset[Site]
    judge: Judge


@dataclass(frozen=True)
class Subject:
    """Ready to be searched and told about."""

    name: str
    setting: Setting
    checks: Checks = field(default_factory=Checks)
    summary: str = ""
    names: Mapping[int, str] = field(default_factory=dict)
    """What words are called, by address or per-CPU pointer."""
    naming: Naming = field(default_factory=Naming)
    """What words are called that its contexts allocate."""
    sometimes: tuple[str, ...] = ()
    """Marks that have to be reached at least once."""
    final: Judge | None = None
    invariant: Judge | None = None
    after: tuple[After, ...] = ()
    fair: bool = False
    """Whether no context may be starved by a fair scheduler."""
    expect: str | None = None
    missing: str = ""
    turns: tuple[int, ...] | None = None
    """What was made smaller: how often each context of the scenario runs its program; 0 leaves it out."""
    file: str = ""
    """Its path, where it does not ship."""
    cpus: int | None = None
    """Where it was changed: the number of CPUs."""

    @property
    def reducible(self) -> bool:
        """Whether the reduction keeps what is checked: what looks at states on the way, or at cycles, needs all."""
        on_the_way = self.invariant is not None or self.after or self.checks.bound is not None
        return not (on_the_way or self.fair)

    def with_turns(self, turns: tuple[int, ...]) -> Subject:
        """The same with fewer contexts, or fewer turns of them; counted as in the scenario."""
        kept = [replace(spec, turns=n) for spec, n in zip(self.setting.contexts, turns, strict=True) if n]
        return replace(self, setting=replace(self.setting, contexts=tuple(kept)), turns=turns)


@dataclass(frozen=True)
class ModelState(State):
    """A state of a model, for a user's check."""

    subject: Subject
    model: Model
    state: Words

    @property
    def cpus(self) -> int:
        """How many CPUs there are."""
        return self.subject.setting.cpus

    def word(self, address: int) -> int:
        """A word of the kernel's memory."""
        return self.model.words(self.state).get(address, 0)

    def slot(self, pointer: int, cpu: int) -> int:
        """A CPU's copy of a per-CPU word."""
        return self.model.words(self.state).get(unit_word(cpu, pointer), 0)

    def ledger(self, counter: int) -> int:
        """What was added to a counter in all, as far as it is entered."""
        return self.model.ledgers(self.state).get(counter, 0)

    def result(self, number: int) -> int:
        """What the last turn of a context gave."""
        return self.model.results(self.state)[number]
