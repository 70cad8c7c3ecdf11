"""The API as a type checker sees it: mypy, which is strict, reads this file with the package (`pyproject.toml`)."""

from __future__ import annotations

from typing import Any, assert_type

import percpu_emu
from percpu_emu import Check, Counterexample, Result


def test_results_have_the_types_that_they_say() -> None:
    result = percpu_emu.explore("flush-then-swap", cpus=2, strategy="exhaustive")
    assert_type(result, Result)
    assert_type(result.ok, bool)
    assert_type(result.checks, tuple[Check, ...])
    assert_type(result.checks[0].ok, bool | None)
    assert_type(result.to_dict(), dict[str, Any])
    example = result.counterexample
    assert_type(example, Counterexample | None)
    assert example is not None
    assert_type(example.columns(width=100), str)
    assert_type(example.story, tuple[str, ...])
    assert_type(percpu_emu.replay(example.token), Result)
