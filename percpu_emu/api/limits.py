"""How far a search goes by default: from Python, from pytest and on the command line."""

from typing import Final

SECONDS: Final = 600.0
SCHEDULES: Final = 10_000_000
"""Schedules of the random strategies; states of the others."""
MEGABYTES: Final = 4096
DEPTH: Final = 3
"""Of "pct": orderings that have to come together."""
