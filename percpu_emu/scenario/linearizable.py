"""Linearizability: whether the results of operations on an object are those of some order that respects their times.

    history = History()

    def push(value: int) -> Program[None]:
        call = yield from called(history, PUSH, value)
        ...                                            # the operation under test
        yield from returned(history, call, 0)

    check = linearizable(history, (), {PUSH: lambda stack, value: (0, (*stack, value)), ...})

The history is memory of the machine: an operation enters its call before it begins and its result when it is done. So
the search keeps states with different histories apart, and each recorded time span contains the real one. The check is
that of Wing and Gong (1993), which Lincheck and Porcupine build on: take any operation that was called before every
other one returned, and go on with the rest; states that were seen with the same rest are not tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from percpu_emu.lang.ops import Program, atomic_long_fetch_add, warn_on, write_once
from percpu_emu.lang.state import State
from percpu_emu.lang.structures import Array, AtomicLong, Struct, Word

MOST_EVENTS: Final = 32
Specification: TypeAlias = Mapping[int, Callable[[Any, int], tuple[int, Hashable]]]
"""What each operation does, by its code (1 or more): `(state, argument) -> (result, state)`; states are hashable."""


class Event(Struct):
    """A call: twice its code, and its argument. A return: twice its call's number plus 1, and its result."""

    what: Word
    value: Word


class History(Struct):
    """Calls and returns in the order in which they are entered. One for each object."""

    length: AtomicLong
    events: Array[Event, Literal[32]]


def called(history: History, code: int, argument: int) -> Program[int]:
    """Enter the call of an operation, before it begins. Gives the call's number."""
    at = yield atomic_long_fetch_add(history.length, 1)
    yield warn_on(at >= MOST_EVENTS)
    yield write_once(history.events[at].what, 2 * code)
    yield write_once(history.events[at].value, argument)
    return at  # type: ignore[no-any-return]


def returned(history: History, call: int, result: int) -> Program[None]:
    """Enter the result of a call, when it is done."""
    at = yield atomic_long_fetch_add(history.length, 1)
    yield warn_on(at >= MOST_EVENTS)
    yield write_once(history.events[at].what, 2 * call + 1)
    yield write_once(history.events[at].value, result)


@dataclass(frozen=True)
class Operation:
    """One operation of a history."""

    code: int
    argument: int
    called: int
    returned: int | None
    """None: it never returns, and may have taken effect or not."""
    result: int = 0


def linearizable(history: History, initial: Hashable, specification: Specification) -> Callable[[State], str | None]:
    """A check for `final` of a scenario. `specification` says what the operations do one after another."""

    def check(state: State) -> str | None:
        operations = operations_of(state, history)
        unknown = [operation.code for operation in operations if operation.code not in specification]
        if unknown:
            return f"the specification has no operation {unknown[0]}"
        if _has_an_order(tuple(operations), initial, specification, set()):
            return None
        said = ", ".join(_said(operation, specification) for operation in operations)
        return f"not linearizable: no order explains the results of {said}"

    return check


def operations_of(state: State, history: History) -> list[Operation]:
    """The operations that a history holds, in the order of their calls."""
    seen = state.at(history)
    events = [(seen.events[at].what, seen.events[at].value) for at in range(min(seen.length, MOST_EVENTS))]
    results = {what // 2: (at, value) for at, (what, value) in enumerate(events) if what % 2}
    return [
        Operation(what // 2, value, at, *results.get(at, (None, 0)))
        for at, (what, value) in enumerate(events)
        if what and not what % 2
    ]


def _has_an_order(
    rest: tuple[Operation, ...], state: Hashable, specification: Specification, tried: set[tuple[Any, Hashable]]
) -> bool:
    """Whether the operations can be put in an order, beginning with `state`, that gives their results."""
    if all(operation.returned is None for operation in rest):
        return True
    if (rest, state) in tried:
        return False
    tried.add((rest, state))
    first_return = min(operation.returned for operation in rest if operation.returned is not None)
    for operation in rest:
        if operation.called < first_return:
            result, following = specification[operation.code](state, operation.argument)
            others = tuple(other for other in rest if other is not operation)
            explained = operation.returned is None or result == operation.result
            if explained and _has_an_order(others, following, specification, tried):
                return True
    return False


def _said(operation: Operation, specification: Specification) -> str:
    name = getattr(specification[operation.code], "__name__", "<lambda>")
    name = f"operation {operation.code}" if name == "<lambda>" else name
    gave = "has not returned" if operation.returned is None else f"= {operation.result}"
    until = "" if operation.returned is None else operation.returned
    return f"{name}({operation.argument}) {gave} [{operation.called}..{until}]"
