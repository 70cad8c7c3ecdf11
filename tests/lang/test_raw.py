"""`__this_cpu_*`: what they do when nothing comes between, and that something can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.lang import raw
from percpu_emu.lang.ops import Op
from percpu_emu.lang.source import sites
from percpu_emu.lang.words import LONG_MAX, LONG_MIN

from .rig import UNIT_WORDS, Rig, programs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOT: Final = 40

CASES: Final = [
    ("__this_cpu_add", (SLOT, 3), 0, 8),
    ("__this_cpu_add", (SLOT, LONG_MAX), 0, LONG_MIN + 4),
    ("__this_cpu_sub", (SLOT, 6), 0, -1),
    ("__this_cpu_sub", (SLOT, LONG_MIN), 0, LONG_MIN + 5),
    ("__this_cpu_inc", (SLOT,), 0, 6),
    ("__this_cpu_dec", (SLOT,), 0, 4),
    ("__this_cpu_and", (SLOT, 4), 0, 4),
    ("__this_cpu_or", (SLOT, 8), 0, 13),
    ("__this_cpu_add_return", (SLOT, -6), -1, -1),
    ("__this_cpu_add_return", (SLOT, LONG_MAX), LONG_MIN + 4, LONG_MIN + 4),
    ("__this_cpu_xchg", (SLOT, 6), 5, 6),
    ("__this_cpu_cmpxchg", (SLOT, 5, 6), 5, 6),
    ("__this_cpu_cmpxchg", (SLOT, 4, 6), 5, 5),
]


@pytest.fixture(scope="module")
def raw_rig() -> Iterator[Rig]:
    rig = Rig(before={("percpu", UNIT_WORDS + SLOT): 5})
    rig.prepare(programs_of(raw))
    yield rig
    rig.close()


def test_every_raw_operation_is_tested() -> None:
    assert {case[0] for case in CASES} == {program.__name__ for program in programs_of(raw)}


@pytest.mark.parametrize(("name", "arguments", "result", "slot"), CASES)
def test_undisturbed_it_does_what_its_this_cpu_namesake_does(
    raw_rig: Rig, name: str, arguments: tuple[int, ...], result: int, slot: int
) -> None:
    outcome = raw_rig.both(getattr(raw, name), *arguments)
    assert (outcome.result, outcome.words) == (result, {("percpu", UNIT_WORDS + SLOT): slot})


def test_an_update_between_its_read_and_its_write_is_lost() -> None:
    """As by an interrupt handler that adds 1 to the same slot."""
    slot = 5
    program: Any = raw.__this_cpu_add(SLOT, 10)
    assert next(program) == Op("__this_cpu_read", (SLOT,))
    read = slot
    slot += 1
    assert program.send(read) == Op("__this_cpu_write", (SLOT, 15))


@pytest.mark.parametrize("program", list(programs_of(raw)))
def test_no_raw_operation_is_a_single_access(program: Any) -> None:
    names = [site.text.partition("(")[0] for site in sites(program)]
    forwarded = program.__name__ in ("__this_cpu_sub", "__this_cpu_inc", "__this_cpu_dec")
    assert names == ([] if forwarded else ["__this_cpu_read", "__this_cpu_write"])
