"""The list of mutants fits the code: a change that moves a line moves its mutant, too."""

from __future__ import annotations

from pathlib import Path

import pytest

import percpu_emu
from tests.mutation.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.file)
def test_the_text_that_a_mutant_changes_stands_once_in_its_file(mutant: Mutant) -> None:
    path = Path(percpu_emu.__file__).parent / mutant.file
    assert path.read_text().count(mutant.old) == 1, mutant.old
