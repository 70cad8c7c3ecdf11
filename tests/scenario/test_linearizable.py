"""Linearizability: histories against a brute-force check, and a stack whose pop may take what another pop has taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.explore.strategies import Options, explore
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


STACK = '''"""A stack of numbers."""

from __future__ import annotations

from percpu_emu.program import *

PUSH = 1
POP = 2


class Node(Struct):
    """An element."""

    next: Ptr[Node]
    value: Word


class Stack(Struct):
    """The first element."""

    head: Ptr[Node]


stack = Stack()
history = History()


def push(value: int) -> Program[None]:
    """Put a value on top."""
    call = yield from called(history, PUSH, value)
    node = yield kzalloc(sizeof(Node))
    yield write_once(node.value, value)
    done = 0
    while not done:
        head = yield read_once(stack.head)
        yield write_once(node.next, head)
        seen = yield cmpxchg(stack.head, head, node)
        done = seen == head
    yield from returned(history, call, 0)


def pop() -> Program[None]:
    """Take the value on top; 0 where there is none."""
    call = yield from called(history, POP, 0)
    value = 0
    head: Node = yield read_once(stack.head)
    while head:
        next_ = yield read_once(head.next)
        TAKE
        if seen == head:
            value = yield read_once(head.value)
            break
        head = yield read_once(stack.head)
    yield from returned(history, call, value)


def pushed(state, value):
    return 0, (*state, value)


def popped(state, _):
    return (state[-1], state[:-1]) if state else (0, ())


is_a_stack = linearizable(history, (), {PUSH: pushed, POP: popped})


def setup() -> Program[None]:
    """Two values."""
    yield from push(1)
    yield from push(2)


@scenario(cpus=2, setup=setup, final=is_a_stack)
def pops(m: Contexts) -> None:
    """Two pops at once."""
    m.task(pop, cpu="all")
'''


@pytest.mark.parametrize(
    ("take", "check"),
    [
        ("seen = yield cmpxchg(stack.head, head, next_)", ""),
        ("yield write_once(stack.head, next_)\n        seen = head", "final"),
    ],
)
def test_a_stack_is_judged_by_its_history(tmp_path: Path, take: str, check: str) -> None:
    (tmp_path / "stack.py").write_text(STACK.replace("TAKE", take))
    explored = explore(subject_of(load(str(tmp_path / "stack.py"))), Options())
    example = explored.counterexample
    assert (example.check if example else "") == check
    if example is not None:
        assert example.trace.violation is not None
        assert "no order explains the results of pushed(1) = 0" in example.trace.violation.detail
        assert "popped(0) = 2" in example.trace.violation.detail


def test_a_history_that_is_full_fails(tmp_path: Path) -> None:
    text = STACK.replace("TAKE", "seen = yield cmpxchg(stack.head, head, next_)")
    (tmp_path / "stack.py").write_text(text.replace('m.task(pop, cpu="all")', "m.task(pop, cpu=0, turns=20)"))
    example = explore(subject_of(load(str(tmp_path / "stack.py"))), Options()).counterexample
    assert example is not None
    assert example.check == "warning"
