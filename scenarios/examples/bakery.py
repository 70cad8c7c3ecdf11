"""The bakery lock: tasks take a number without saying so, or say that they are choosing.

L. Lamport, A new solution of Dijkstra's concurrent programming problem, 1974.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.lang.ops import Program, counted, cpu_relax, read_once, smp_mb, smp_store_release, write_once
from percpu_emu.lang.structures import Array, AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Bakery(Struct):
    """Which task is choosing a number, the numbers (0: none), and the count that the lock protects."""

    choosing: Array[Word, Literal[2]]
    numbers: Array[Word, Literal[2]]
    total: AtomicLong


bakery = Bakery()


def count() -> Program[None]:
    """The critical section: a read and a write."""
    with counted(bakery.total, 1):
        x = yield read_once(bakery.total)
        yield write_once(bakery.total, x + 1)


def total(address: int) -> Program[int]:
    """The count."""
    return (yield read_once(address))


def take_number(me: int) -> Program[int]:
    """A number above the other's."""
    number = yield read_once(bakery.numbers[1 - me])
    number += 1
    yield write_once(bakery.numbers[me], number)
    return number


def wait_for_turn(me: int, number: int) -> Program[None]:
    """Wait while the other has a lower number, or the same and comes first in line."""
    other = yield read_once(bakery.numbers[1 - me])
    while other and (other < number or (other == number and me == 1)):
        yield cpu_relax()
        other = yield read_once(bakery.numbers[1 - me])


def careless_work(me: int) -> Program[None]:
    """Count under the lock."""
    number = yield from take_number(me)
    yield from wait_for_turn(me, number)  # wrong: the other may be about to take the same number
    yield from count()
    yield write_once(bakery.numbers[me], 0)


@scenario(
    cpus=2,
    total=total,
    expect="lost-count",
    missing="the flag that says that a number is being chosen, and the wait for it",
)
def bakery_without_choosing(m: Contexts) -> None:
    """A task of the bakery lock goes in while another chooses the same number, with precedence.

    A number is chosen by a read and a write. Task 0 has read that there is no number; task 1 takes number 1, finds that
    task 0 has none, and goes in. Now task 0 writes its number, 1 as well; at equal numbers the first in line goes in.

    The fixed version, bakery-lock, raises a flag while it chooses, for which the other waits.
    """
    m.task(careless_work, 0, cpu=0, name="left")
    m.task(careless_work, 1, cpu=1, name="right")


def work(me: int) -> Program[None]:
    """Count under the lock."""
    yield write_once(bakery.choosing[me], 1)
    yield smp_mb()
    number = yield from take_number(me)
    yield smp_store_release(bakery.choosing[me], 0)
    yield smp_mb()
    while (yield read_once(bakery.choosing[1 - me])):
        yield cpu_relax()
    yield from wait_for_turn(me, number)
    yield from count()
    yield smp_store_release(bakery.numbers[me], 0)


@scenario(cpus=2, total=total)
def bakery_lock(m: Contexts) -> None:
    """A task of the bakery lock waits while the other chooses a number.

    Once the other has chosen, its number is either known, or above the own.
    """
    m.task(work, 0, cpu=0, name="left", turns=2)
    m.task(work, 1, cpu=1, name="right", turns=2)
