"""Random programs do the same in both engines: the same result or exception, the same words in the end.

A module of random programs is compiled once, and then run with many arguments.
`PERCPU_EMU_TEST_MODULES=300 pytest tests/lang/test_differential.py` tries more modules than the usual few.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from percpu_emu.lang.words import LONG_MAX, LONG_MIN
from percpu_emu.scenario.programs import execute

from .rig import UNIT_WORDS, Rig
from .writer import module_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULES: Final = int(os.environ.get("PERCPU_EMU_TEST_MODULES", "6"))
PROGRAMS: Final = 5
"""In each module."""

words = st.one_of(
    st.sampled_from([LONG_MIN, LONG_MIN + 1, -33, -1, 0, 1, 2, 33, 63, 64, 1 << 31, 1 << 32, LONG_MAX - 1, LONG_MAX]),
    st.integers(LONG_MIN, LONG_MAX),
)


def text_of(seed: int) -> str:
    return module_text(random.Random(seed), PROGRAMS)


@pytest.fixture(scope="module")
def mains(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Of each module the program that calls one of its programs."""
    folder: Path = tmp_path_factory.mktemp("written")
    found = []
    for seed in range(MODULES):
        path = folder / f"random_{seed}.py"
        path.write_text(text_of(seed))
        module = execute(path)
        found.append(module.main)
    return found


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    rig = Rig(before={("memory", 100): 5, ("memory", 101): -7, ("percpu", UNIT_WORDS + 41): LONG_MAX})
    yield rig
    rig.close()


@pytest.mark.timeout(300 + 10 * MODULES)
@pytest.mark.parametrize("seed", range(MODULES))
@settings(max_examples=60)
@given(which=st.integers(0, PROGRAMS - 1), arguments=st.tuples(words, words, words))
def test_random_programs_do_the_same_in_both_engines(
    rig: Rig, mains: list[Any], seed: int, which: int, arguments: tuple[int, int, int]
) -> None:
    reference, native = rig.outcomes(mains[seed], which, *arguments)
    if reference != native:
        note(text_of(seed))
    assert native == reference
