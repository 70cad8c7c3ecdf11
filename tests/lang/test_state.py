"""A state by the fields of structures: values, pointers, copies of CPUs, and what is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS
from percpu_emu.lang.state import State, View
from percpu_emu.lang.structures import Array, AtomicLong, PerCpu, Ptr, Struct, Word


class Slots(Struct):
    """On every CPU."""

    slot: Word
    more: Array[Word, Literal[2]]


class Node(Struct):
    """A list."""

    next: Ptr[Node]
    value: Word


class Counter(Struct):
    """Static."""

    stats: PerCpu[Slots]
    total: AtomicLong
    head: Ptr[Node]
    inner: Node
    nodes: Array[Node, Literal[2]]


counter = Counter()
local = Slots.static_per_cpu()


class Memory(State):
    """A state made of two tables."""

    cpus = 2

    def __init__(self, words: dict[int, int], slots: dict[tuple[int, int], int]) -> None:
        self.words, self.slots = words, slots

    def word(self, address: int) -> int:
        return self.words.get(address, 0)

    def slot(self, pointer: int, cpu: int) -> int:
        return self.slots.get((pointer, cpu), 0)

    def ledger(self, counter: int) -> int:
        return counter

    def result(self, number: int) -> int:
        return number


@pytest.fixture
def state() -> Memory:
    words = {counter.stats: OBJECT_WORDS, counter.total: 7, counter.head: FIRST_OBJECT, FIRST_OBJECT + 1: 5}
    words |= {counter.inner + 1: 8, counter.nodes + 3: 9}
    return Memory(words, {(OBJECT_WORDS, 1): 3, (OBJECT_WORDS + 2, 0): 4, (local.slot, 1): 6})


def test_fields_are_values_and_pointers_lead_on(state: Memory) -> None:
    seen = state.at(counter)
    assert (seen.total, seen.inner.value, seen.nodes[1].value) == (7, 8, 9)
    assert [seen.stats.on(cpu).slot for cpu in (0, 1)] == [0, 3]
    assert seen.stats.on(0).more[1] == 4
    assert state.at(local).on(1).slot == 6
    assert seen.head.value == 5
    assert seen.head == FIRST_OBJECT
    assert not seen.head.next
    assert not seen.inner.next


def test_a_message_shows_the_values(state: Memory) -> None:
    seen = state.at(counter)
    assert repr(seen.head) == "Node(next=NULL, value=5)"
    assert repr(seen.stats) == "[Slots(slot=0, more=[0, 4]), Slots(slot=3, more=[0, 0])]"
    assert repr(seen).startswith(f"Counter(stats={OBJECT_WORDS:#x}, total=7, head={FIRST_OBJECT:#x}, inner=Node(")


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda seen: seen.totl, "Counter has no field totl"),
        (lambda seen: seen.inner.next.value, "value: the pointer is NULL"),
        (lambda seen: seen.stats.slot, "slot: on\\(cpu\\) says which CPU's copy"),
        (lambda seen: seen.stats.on(2), "there is no such CPU"),
        (lambda seen: seen.head.on(0), "it is no per-CPU object"),
        (lambda seen: seen.nodes[2], "the array has 2 elements"),
    ],
)
def test_what_is_not_there_raises(state: Memory, look: Callable[[View], object], message: str) -> None:
    with pytest.raises((AttributeError, IndexError), match=message):
        look(state.at(counter))
