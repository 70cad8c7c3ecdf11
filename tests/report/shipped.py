"""The counterexamples of the broken protocols that ship, each searched for once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from percpu_emu.bundled import bundled_files
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

BROKEN = [
    name
    for name, path in bundled_files("scenarios", ".toml").items()
    if path.parent.name == "protocols" and not name.endswith("-fixed")
]


@cache
def counterexample(name: str) -> Trace:
    example = explore(subject_of(load(name)), Options()).counterexample
    assert example is not None
    return example.trace
