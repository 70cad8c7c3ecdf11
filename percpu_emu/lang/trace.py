"""The one event stream of a controlled run: what each step did. Everything a person is shown is made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from percpu_emu.lang.source import Site

Reason: TypeAlias = Literal[
    "over",
    "grace period",
    "callbacks",
    "interrupts off",
    "interrupt",
    "preemption off",
    "half done",
    "word",
    "mid-turn",
    "busy",
    "off line",
    "earlier interrupt",
]


@dataclass(frozen=True)
class Obstacle:
    """What keeps a context from its next step."""

    reason: Reason
    contexts: tuple[int, ...] = ()
    """The contexts whose sections, callbacks, instructions or turns have to end first."""
    cpu: int | None = None
    """On which CPU."""
    address: int = 0
    """For "word": what is waited for, ..."""
    value: int = 0
    """... and the value that it has to have."""


@dataclass(frozen=True)
class Standing:
    """How a context stands before or after a step, as the engine has it."""

    context: int
    cpu: int | None
    reader: bool
    """Whether a grace period that begins now waits for it."""
    obstacle: Obstacle | None
    """Why it cannot take a step; None where it can."""


@dataclass(frozen=True)
class Access:
    """A word that a step touched; read only where `old` is `new`. Addresses as in `lang.setting`."""

    address: int
    old: int
    new: int
    write: bool = False


@dataclass(frozen=True)
class Step:
    """One step of one context: an operation, or an event of the machine (`op` is then its name)."""

    context: int
    op: str
    """Name of the operation; "offline", "kill", "migrate" for what has no operation."""
    args: tuple[int, ...] = ()
    """Arguments as words; a `per_cpu` pointer as an address, a queued program as its slot, -1 for none."""
    result: int = 0
    accesses: tuple[Access, ...] = ()
    site: Site | None = None
    """The yield; None for events of the machine."""
    cpu: int | None = None
    """The CPU it was done on, None for the coordinator's contexts."""
    waits_for: tuple[int, ...] = ()
    """Contexts that a wait for RCU which this step begins has to wait for."""
    ended: bool = False
    """Whether it was the context's last step."""
    half: str = ""
    """Of a read-modify-write that other CPUs see in two parts: "load" or "store"."""
    calls: tuple[Site, ...] = field(default=(), compare=False)
    """The calls that lead to the yield, the context's own first; as the model knows them, and processes do not."""


@dataclass(frozen=True)
class TracedContext:
    """Who takes steps. Callback slots appear once for each program that ran in them."""

    number: int
    name: str
    cpu: int | None
    kind: str
    """task, interrupt, offline, kill; of what is queued: callback (RCU), work or sent (an interrupt)."""
    program: str


@dataclass(frozen=True)
class Violation:
    """What a check found: which check, in a sentence what is wrong, and the steps that do the damage (indices)."""

    check: str
    detail: str
    guilty: tuple[int, ...] = ()
    victims: tuple[int, ...] = ()
    """The steps whose work is undone: a count that is lost, a reader whose memory is gone."""


@dataclass(frozen=True)
class Trace:
    """A controlled run, from the state after the setup on."""

    scenario: str
    summary: str
    contexts: Sequence[TracedContext]
    steps: Sequence[Step]
    names: Mapping[int, str]
    """What words are called, by address: "stats", "slot of CPU 1"."""
    initial: Mapping[int, int] = field(default_factory=dict)
    """Words that are not 0 before the first step, by address; the named ones are all there."""
    ledgers: Mapping[int, int] = field(default_factory=dict)
    """What was added in all to each counter, by the counter's address, at the end."""
    violation: Violation | None = None
    missing: str = ""
    """Which step of the protocol is missing, in words of the scenario's author."""
    token: str = ""
    file: str = ""
    """Path of the scenario, which a replay of the token needs; "" for one that ships."""
    standings: Sequence[Sequence[Standing]] = ()
    """How every context stands before the first step and after each step; empty where that is not known."""
