"""Broken protocols and classic examples: each has a fixed version beside it, and its line in docs/examples.md.

The parts of the kernel that programs call have their lines there, too.

    PERCPU_EMU_REWRITE_GOLDEN=1 python -m pytest tests/test_examples.py

writes the tables anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from percpu_emu.kernel import (
    completion,
    cpus_lock,
    llist,
    locks,
    percpu_rwsem,
    rcu_poll,
    refcount,
    seqlock,
    smp,
    srcu,
    workqueue,
)
from percpu_emu.kernel import list as lists
from percpu_emu.lang.source import is_program
from percpu_emu.lang.structures import is_struct
from tests.examples import fixed_versions, in_folder, is_broken, scenario

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples.md"
FOLDERS = ["examples", "protocols"]


def table(folder: str) -> str:
    """The table of a folder: a line for each broken scenario."""
    lines = ["| broken | what goes wrong | caught as | fixed version |", "| --- | --- | --- | --- |"]
    for name, fixed in fixed_versions(folder).items():
        explore = scenario(name).explore
        assert explore is not None
        lines.append(f"| `{name}` | {scenario(name).summary} | {explore.expect} | `{fixed}` |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_example_has_its_line(folder: str) -> None:
    begin = f"<!-- {folder} -->\n"
    if os.environ.get("PERCPU_EMU_REWRITE_GOLDEN"):
        old = re.compile(f"{begin}(?:\\|.*\n)*")
        EXAMPLES.write_text(old.sub(lambda _: begin + table(folder), EXAMPLES.read_text(), count=1))
    text = EXAMPLES.read_text()
    assert begin + table(folder) in text


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_broken_one_has_a_fixed_version_beside_it(folder: str) -> None:
    places, fixed = in_folder(folder), fixed_versions(folder)
    assert {name for name in places if not is_broken(name)} == set(fixed.values())
    assert all(places[name].path == places[other].path for name, other in fixed.items())


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_broken_one_says_what_is_missing_and_shows_where(folder: str) -> None:
    for name in fixed_versions(folder):
        explore = scenario(name).explore
        assert explore is not None
        assert explore.missing, name
        assert "# wrong: " in in_folder(folder)[name].path.read_text()


PARTS = [completion, cpus_lock, lists, llist, locks, percpu_rwsem, rcu_poll, refcount, seqlock, smp, srcu, workqueue]


@pytest.mark.parametrize("module", PARTS, ids=lambda module: module.__name__)
def test_every_part_is_listed_with_its_module(module: ModuleType) -> None:
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    public = {name for name, value in own.items() if (is_program(value) or is_struct(value)) and name[0] != "_"}
    assert public
    behind = EXAMPLES.read_text().partition(f"| `{module.__name__}` |")[2]
    rows = re.split(r"\| `percpu_emu\.|\n\n", behind)[0]
    assert public == set(re.findall(r"`(\w+)`", rows))
