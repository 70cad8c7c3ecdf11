"""A clock that stands still while this process does: under SIGSTOP, in a suspended machine, or not scheduled."""

from __future__ import annotations

import time
from typing import Final

LONGEST_ACTION: Final = 2.0
"""Seconds that a machine may take for one thing, such as a release with 64 CPUs on two processors."""


class AwakeClock:
    """Seconds, of those in which the process looked at this clock.

    A wait looks at it often. A gap of more than `gap` seconds between two looks is one in which this process did not
    run, and the processes that it waits for may not have run either: no stall, hang or late end follows from it.
    """

    def __init__(self, gap: float = 0.5) -> None:
        self._gap = gap
        self._awake = 0.0
        self.looked = time.monotonic()
        """When it was last looked at, by the clock that goes on."""

    def __call__(self) -> float:
        """How many by now."""
        now = time.monotonic()
        self._awake += min(now - self.looked, self._gap)
        self.looked = now
        return self._awake
