"""A stack judged by its history: some order of the operations has to explain what each of them gave.

M. Herlihy, J. Wing, Linearizability: a correctness condition for concurrent objects, 1990.
"""

from __future__ import annotations

from percpu_emu.lang.ops import Program, cmpxchg, kzalloc, read_once, write_once
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario
from percpu_emu.scenario.linearizable import History, called, linearizable, returned

PUSH = 1
POP = 2


class Node(Struct):
    """An entry."""

    next: Ptr[Node]
    value: Word


class Stack(Struct):
    """The newest entry."""

    head: Ptr[Node]


stack = Stack()
history = History()


def push(value: int) -> Program[None]:
    """Put a value on top."""
    call = yield from called(history, PUSH, value)
    node = yield kzalloc(sizeof(Node))
    yield write_once(node.value, value)
    head = yield read_once(stack.head)
    while True:
        yield write_once(node.next, head)
        seen = yield cmpxchg(stack.head, head, node)
        if seen == head:
            break
        head = seen
    yield from returned(history, call, 0)


def setup() -> Program[None]:
    """Two values are on the stack."""
    yield from push(1)
    yield from push(2)


def in_order_push(stack: tuple[int, ...], value: int) -> tuple[int, tuple[int, ...]]:
    """What a push does while no other operation runs."""
    return 0, (*stack, value)


def in_order_pop(stack: tuple[int, ...], _: int) -> tuple[int, tuple[int, ...]]:
    """What a pop does while no other operation runs: 0 where there is nothing."""
    return (stack[-1], stack[:-1]) if stack else (0, ())


is_a_stack = linearizable(history, (), {PUSH: in_order_push, POP: in_order_pop})


def hasty_pop() -> Program[None]:
    """Take the value on top; 0 where there is none."""
    call = yield from called(history, POP, 0)
    value = 0
    head: Node = yield read_once(stack.head)
    if head:
        following = yield read_once(head.next)
        yield write_once(stack.head, following)  # wrong: another pop may have taken this entry
        value = yield read_once(head.value)
    yield from returned(history, call, value)


@scenario(cpus=2, setup=setup, final=is_a_stack, expect="final", missing="a compare-and-swap of the head")
def stack_pops_twice(m: Contexts) -> None:
    """Two pops give the same value, which no order of them explains.

    Both read the same head, and both make its successor the head.

    The fixed version, linearizable-stack, swaps the head only where it is still the one that was read.
    """
    m.task(hasty_pop, cpu="all", name="pop")


def pop() -> Program[None]:
    """Take the value on top; 0 where there is none."""
    call = yield from called(history, POP, 0)
    value = 0
    head: Node = yield read_once(stack.head)
    while head:
        following = yield read_once(head.next)
        seen: Node = yield cmpxchg(stack.head, head, following)
        if seen == head:
            value = yield read_once(head.value)
            break
        head = seen
    yield from returned(history, call, value)


@scenario(cpus=2, setup=setup, final=is_a_stack)
def linearizable_stack(m: Contexts) -> None:
    """Every history of two pops is that of a stack.

    No entry is freed, so a head that was read stays what it was (treiber shows what happens otherwise).
    """
    m.task(pop, cpu="all")
