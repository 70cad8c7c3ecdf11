"""A stack without a lock: its head is a pointer, or a pointer with the number of changes.

R. K. Treiber, Systems programming: coping with parallelism, 1986. The number of changes is from the System/370
Principles of Operation, 1983.
"""

from __future__ import annotations

from percpu_emu.lang.ops import Program, cmpxchg, read_once, warn_on, write_once, xchg
from percpu_emu.lang.structures import Ptr, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

CHANGE = 1 << 32
POINTER = CHANGE - 1


class Node(Struct):
    """An entry; `taken` is 1 while a task has it to itself."""

    next: Ptr[Node]
    taken: Word


class Stack(Struct):
    """The newest entry; in the fixed version with the number of changes above it."""

    head: Ptr[Node]


stack = Stack()
first = Node()
second = Node()


def setup() -> Program[None]:
    """Two entries are on the stack."""
    yield write_once(first.next, second)
    yield write_once(stack.head, first)


def take(node: Node) -> Program[None]:
    """The entry is the caller's: it has to be no other's."""
    if node:
        taken = yield xchg(node.taken, 1)
        yield warn_on(taken)


def push(node: Node) -> Program[None]:
    """Give an entry back."""
    yield write_once(node.taken, 0)
    head = yield read_once(stack.head)
    while True:
        yield write_once(node.next, head)
        seen = yield cmpxchg(stack.head, head, node)
        if seen == head:
            break
        head = seen


def pop() -> Program[Node]:
    """The newest entry; NULL if there is none."""
    node: Node = yield read_once(stack.head)
    while node:
        following = yield read_once(node.next)
        seen: Node = yield cmpxchg(stack.head, node, following)  # wrong: the head may have been another meanwhile
        if seen == node:
            break
        node = seen
    yield from take(node)
    return node


def pop_one() -> Program[None]:
    """Take an entry."""
    yield from pop()


def pop_two_push_one() -> Program[None]:
    """Take two entries, and give the first back."""
    node = yield from pop()
    yield from pop()
    if node:
        yield from push(node)


@scenario(
    cpus=2,
    setup=setup,
    expect="warning",
    missing="a number of changes beside the pointer",
)
def treiber_aba(m: Contexts) -> None:
    """A stack without a lock hands out an entry that another task has.

    A task has read the head, A, and its successor, B. Another takes A, takes B and gives A back. The head is A again,
    so the compare-and-swap of the first succeeds, and makes B the head, which the other task has (ABA).

    The fixed version, treiber, counts changes in the upper half of the head.
    """
    m.task(pop_one, cpu=0, turns=2)
    m.task(pop_two_push_one, cpu=1)


def counted_push(node: Node) -> Program[None]:
    """Give an entry back."""
    yield write_once(node.taken, 0)
    head = yield read_once(stack.head)
    while True:
        yield write_once(node.next, head & POINTER)
        seen = yield cmpxchg(stack.head, head, (head & ~POINTER) + CHANGE + node)
        if seen == head:
            break
        head = seen


def counted_pop() -> Program[Node]:
    """The newest entry; NULL if there is none."""
    head = yield read_once(stack.head)
    node: Node = head & POINTER
    while node:
        following = yield read_once(node.next)
        seen = yield cmpxchg(stack.head, head, (head & ~POINTER) + CHANGE + following)
        if seen == head:
            break
        head = seen
        node = head & POINTER
    yield from take(node)
    return node


def counted_pop_one() -> Program[None]:
    """Take an entry."""
    yield from counted_pop()


def counted_pop_two_push_one() -> Program[None]:
    """Take two entries, and give the first back."""
    node = yield from counted_pop()
    yield from counted_pop()
    if node:
        yield from counted_push(node)


@scenario(cpus=2, setup=setup)
def treiber(m: Contexts) -> None:
    """A stack without a lock whose head counts its changes hands out each entry once.

    A compare-and-swap succeeds only if no entry was taken or given back since the head was read.
    """
    m.task(counted_pop_one, cpu=0, turns=2)
    m.task(counted_pop_two_push_one, cpu=1)
