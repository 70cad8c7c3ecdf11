"""A plan: what processes have to know of a schedule whose every step is known to be possible. Nothing but data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_emu.lang.source import Site


class Part(IntEnum):
    """How much of an operation a step does, or that it is none."""

    WHOLE = 0
    LOAD = 1
    """The load of a read-modify-write of the own copy; a later step of the context does the rest, ..."""
    STORE = 2
    """... which is to store what follows from the value that was loaded."""
    REGISTER = 3
    """A wait for RCU begins; a later step of the context, which is WHOLE, ends it."""
    MIGRATE = 4
    """The context goes on on CPU `target`."""
    TAKE_DOWN = 5
    """CPU `target` goes, and what it runs is over."""
    FAIL = 6
    """An allocation gives nothing."""


@dataclass(frozen=True)
class PlannedStep:
    """One step."""

    context: int
    """By its number: those of the setting first, then the callbacks."""
    cpu: int | None
    """The CPU that the context is on, and whose process does the step; None: the coordinator."""
    op: str
    """Name of the operation, or of the machine's event: "offline", "kill", "migrate"."""
    site: Site | None = None
    part: Part = Part.WHOLE
    target: int = -1
    queued: int = -1
    """Of what queues a program: the number under which that runs."""
    waits_for: tuple[int, ...] = ()
    """Contexts that a wait which this step begins has to wait for."""
    ended: bool = False
    """Whether it is the context's last step."""

    def __str__(self) -> str:
        what = {Part.LOAD: "the load of ", Part.STORE: "the store of "}.get(self.part, "") + self.op
        where = f" at {self.site}" if self.site is not None else ""
        return f"{what}{where}{', the last step of its context' if self.ended else ''}"


@dataclass(frozen=True)
class Plan:
    """A schedule, ready to be replayed."""

    steps: tuple[PlannedStep, ...]
    check: str = ""
    """The check that the last step violates, "" for none."""
    areas: int = 0
    """How many per-CPU areas are allocated in all, those of the setup included, ..."""
    objects: int = 0
    """... and how many objects."""

    @property
    def distinct(self) -> list[PlannedStep]:
        """Its steps, of which one object may stand for many, each object once."""
        return list({id(step): step for step in self.steps}.values())

    def last_violates(self, index: int) -> bool:
        """Whether the step is the one that violates the check."""
        return bool(self.check) and index == len(self.steps) - 1


@dataclass(frozen=True)
class Difference:
    """A step that processes found to be another than planned."""

    step: int
    planned: str
    found: str

    def __str__(self) -> str:
        return f"step {self.step + 1} came out otherwise: the model has {self.planned}, the process {self.found}"
