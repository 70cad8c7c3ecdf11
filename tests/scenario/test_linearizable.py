"""Linearizability: histories against a brute-force check, and a stack whose pop may take what another pop has taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.explore.strategies import Options, explore
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.linearizable import Operation, _has_an_order
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of

READ, WRITE = 1, 2
REGISTER = {READ: lambda state, _: (state, state), WRITE: lambda _, value: (0, value)}


def orders(operations: list[Operation]) -> Iterator[tuple[Operation, ...]]:
    """Every order of those that returned and a part of the others, none before one that ended earlier."""
    done = [operation for operation in operations if operation.returned is not None]
    pending = [operation for operation in operations if operation.returned is None]
    for number in range(len(pending) + 1):
        for taken in itertools.combinations(pending, number):
            for order in itertools.permutations([*done, *taken]):
                pairs = itertools.combinations(order, 2)
                if not any(later.returned is not None and later.returned < first.called for first, later in pairs):
                    yield order


def explains(order: tuple[Operation, ...]) -> bool:
    state = 0
    for operation in order:
        result, state = REGISTER[operation.code](state, operation.argument)
        if operation.returned is not None and result != operation.result:
            return False
    return True


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to four operations on a register, with random time spans and results."""
    count = draw(st.integers(1, 4))
    times = draw(st.permutations(range(2 * count)))
    found = []
    for number in range(count):
        begin, end = sorted(times[2 * number : 2 * number + 2])
        code = draw(st.sampled_from([READ, WRITE]))
        returned = None if draw(st.integers(0, 4)) == 0 else end
        result = draw(st.integers(0, 2)) if code == READ else 0
        found.append(Operation(code, draw(st.integers(0, 2)), begin, returned, result))
    return found


@given(histories())
def test_a_history_is_linearizable_if_some_order_explains_it(operations: list[Operation]) -> None:
    expected = any(explains(order) for order in orders(operations))
    assert _has_an_order(tuple(operations), 0, REGISTER, set()) is expected


@pytest.mark.parametrize(("name", "check"), [("linearizable-stack", ""), ("stack-pops-twice", "final")])
def test_a_stack_is_judged_by_its_history(name: str, check: str) -> None:
    example = explore(subject_of(load(name)), Options()).counterexample
    assert (example.check if example else "") == check
    if example is not None:
        assert example.trace.violation is not None
        assert "no order explains the results of in_order_push(1) = 0" in example.trace.violation.detail
        assert example.trace.violation.detail.count("in_order_pop(0) = 2") == 2


def test_a_history_that_is_full_fails(tmp_path: Path) -> None:
    text = shipped()["linearizable-stack"].place.path.read_text()
    assert 'm.task(pop, cpu="all")' in text
    (tmp_path / "stack.py").write_text(text.replace('m.task(pop, cpu="all")', "m.task(pop, cpu=0, turns=20)"))
    example = explore(subject_of(load(f"{tmp_path / 'stack.py'}::linearizable-stack")), Options()).counterexample
    assert example is not None
    assert example.check == "warning"
