"""Broken scenarios that ship, and which is the fixed version of each."""

from __future__ import annotations

import re
from functools import cache

from percpu_emu.scenario.finding import Place, shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.schema import Scenario


def in_folder(folder: str) -> dict[str, Place]:
    """The scenarios of a folder of `scenarios`, by name."""
    return {name: entry.place for name, entry in shipped().items() if entry.place.path.parent.name == folder}


@cache
def scenario(name: str) -> Scenario:
    return load(name).scenario


def is_broken(name: str) -> bool:
    explore = scenario(name).explore
    return explore is not None and explore.expect is not None


def fixed_versions(folder: str) -> dict[str, str]:
    """Broken scenario -> its fixed version: the one that its description names, else the one called so."""
    return {name: _fixed_version(name) for name in in_folder(folder) if is_broken(name)}


def _fixed_version(name: str) -> str:
    named = re.search(r"fixed version, ([a-z0-9-]+),", " ".join(scenario(name).description.split()))
    return named[1] if named else f"{name}-fixed"
