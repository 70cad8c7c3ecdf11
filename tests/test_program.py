"""One import is all that a file of programs needs."""

from __future__ import annotations

from pathlib import Path

from percpu_emu import program
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.lang import raw
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.source import is_program
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

OWN = '''"""A counter."""

from __future__ import annotations

from percpu_emu.program import *


class Slots(Struct):
    """On every CPU."""

    slot: Word


slots = Slots.static_per_cpu()


def update() -> Program[None]:
    """Count."""
    yield from __this_cpu_add(slots.slot, 1)


def is_two(state: State) -> str | None:
    """Both counts are there."""
    count = state.at(slots).on(0).slot
    return None if count == 2 else f"{count} of 2"


@scenario(cpus=1, final=is_two, expect="final")
def raw(m: Contexts) -> None:
    """A task and an interrupt."""
    m.task(update, cpu=0)
    m.interrupt(update, cpu=0)
'''


def test_a_file_of_programs_needs_one_import(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    explored = explore(subject_of(load(str(tmp_path / "own.py"))), Options())
    assert explored.counterexample is not None
    assert explored.counterexample.check == "final"
    assert explored.counterexample.trace.violation is not None
    assert "1 of 2" in explored.counterexample.trace.violation.detail


def test_every_operation_is_among_its_names() -> None:
    assert set(OPERATIONS) | {name for name, value in vars(raw).items() if is_program(value)} <= set(program.__all__)
    assert all(hasattr(program, name) for name in program.__all__)
