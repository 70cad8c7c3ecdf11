"""What happens on a machine, as a stream of events: everything a person is shown is made from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Event:
    """One thing that happened: `kind` names it, `fields` say to whom; seconds count from the machine's start."""

    kind: str
    seconds: float
    fields: dict[str, Any] = field(default_factory=dict)


Listener: TypeAlias = Callable[[Event], None]


class EventStream:
    """Passes events on to everyone who listens, in the order in which they happened."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._start = time.monotonic()

    def listen(self, listener: Listener) -> None:
        """Have `listener` called with every event from now on."""
        self._listeners.append(listener)

    def ignore(self, listener: Listener) -> None:
        """Call it no more."""
        self._listeners.remove(listener)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def emit(self, kind: str, **fields: Any) -> None:
        """Tell everyone."""
        event = Event(kind, self.seconds, fields)
        for listener in self._listeners:
            listener(event)
