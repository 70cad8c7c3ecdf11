"""The counterexamples of the broken protocols that ship, each searched for once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from percpu_emu.explore.strategies import Options, explore
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

PROTOCOLS = [name for name, entry in shipped().items() if entry.place.path.parent.name == "protocols"]
BROKEN = [name for name in PROTOCOLS if (part := load(name).scenario.explore) is not None and part.expect]


@cache
def counterexample(name: str) -> Trace:
    example = explore(subject_of(load(name)), Options()).counterexample
    assert example is not None
    return example.trace
