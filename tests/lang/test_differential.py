"""Random programs do the same in both engines: the same result or exception, the same words in the end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from percpu_emu.lang.words import LONG_MAX, LONG_MIN

from .rig import UNIT_WORDS, Rig
from .writer import module_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

PROGRAMS: Final = 8
ARGUMENTS: Final = 12

words = st.one_of(
    st.sampled_from([LONG_MIN, LONG_MIN + 1, -33, -1, 0, 1, 2, 33, 63, 64, 1 << 31, 1 << 32, LONG_MAX - 1, LONG_MAX]),
    st.integers(LONG_MIN, LONG_MAX),
)


@pytest.fixture(scope="module")
def shared_rig() -> Iterator[Rig]:
    rig = Rig(before={("memory", 100): 5, ("memory", 101): -7, ("percpu", UNIT_WORDS + 41): LONG_MAX})
    yield rig
    rig.close()


@pytest.mark.timeout(600)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), arguments=st.lists(st.tuples(words, words, words), min_size=ARGUMENTS, max_size=ARGUMENTS))
def test_random_programs_do_the_same_in_both_engines(
    module_of: Callable[[str], ModuleType], shared_rig: Rig, seed: int, arguments: list[tuple[int, int, int]]
) -> None:
    text = module_text(random.Random(seed), PROGRAMS)
    main = module_of(text).main
    for which in range(PROGRAMS):
        for triple in arguments:
            reference, native = shared_rig.outcomes(main, which, *triple)
            if reference != native:
                note(text)
            assert (which, triple, native) == (which, triple, reference)
