"""How to search, from the words of the command line."""

from __future__ import annotations

from functools import partial
from typing import Final

from percpu_emu.api import options

_SPELLED: Final = {
    "strategy": "--strategy",
    "schedules": "--max-schedules",
    "seconds": "--max-seconds",
    "megabytes": "--max-megabytes",
    "depth": "--depth",
    "preemptions": "--preemptions",
}

search_options: Final = partial(options.search_options, spelled=_SPELLED)
"""Options. Raises WrongOption, which names a value as the command line does."""
