"""A small scenario of a user's, in files: two CPUs lose an increment."""

from __future__ import annotations

from pathlib import Path

PROGRAMS = """\
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, read_once, write_once

COUNT = STATIC + 0


def count() -> Program[None]:
    x = yield read_once(COUNT)
    yield write_once(COUNT, x + 1)


def both_counted(state):
    return None if state.word(COUNT) == 2 else f"{state.word(COUNT)} of 2"
"""
RACE = """\
name = "race"
summary = "Two CPUs count in one word"

[machine]
cpus = 2

[explore]
programs = "race.py"
final = "both_counted"

[[explore.contexts]]
program = "count"
cpus = "all"
"""
KNOWN = RACE.replace('name = "race"', 'name = "known"').replace("[[", 'expect = "final"\n\n[[')
UNREACHED = RACE.replace('name = "race"', 'name = "unreached"').replace('final = "both_counted"', 'sometimes = ["won"]')
FIXED = PROGRAMS.replace("read_once, write_once", "atomic_long_add").replace(
    "    x = yield read_once(COUNT)\n    yield write_once(COUNT, x + 1)", "    yield atomic_long_add(COUNT, 1)"
)
DECLARED = '''
from percpu_emu.scenario.decorator import Contexts, scenario


@scenario(cpus=2, final=both_counted)
def declared_race(m: Contexts) -> None:
    """Two CPUs count in one word."""
    m.task(count, cpu="all")
'''
FOUND = "percpu-emu replay race:11.9G7a --scenario race.toml"


def write_race(folder: Path, programs: str = PROGRAMS, scenario: str = RACE) -> Path:
    """The scenario's file, with its programs beside it."""
    (folder / "race.py").write_text(programs)
    path = folder / "race.toml"
    path.write_text(scenario)
    return path
