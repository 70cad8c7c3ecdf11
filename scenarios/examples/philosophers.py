"""Dining philosophers: all take the left fork first, or all take the fork of the lower number first.

E. W. Dijkstra, Hierarchical ordering of sequential processes, 1971.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.locks import Mutex, mutex_lock, mutex_unlock
from percpu_emu.lang.ops import Program
from percpu_emu.lang.structures import Array, Struct
from percpu_emu.scenario.decorator import Contexts, scenario

SEATS = 3


class Table(Struct):
    """A fork between each two."""

    forks: Array[Mutex, Literal[3]]


table = Table()


def eat(one: int, other: int) -> Program[None]:
    """Take both forks, in this order; put them back."""
    yield from mutex_lock(table.forks[one])
    yield from mutex_lock(table.forks[other])
    yield from mutex_unlock(table.forks[other])
    yield from mutex_unlock(table.forks[one])


@scenario(cpus=3, expect="deadlock", missing="one order of the forks, for all")
def philosophers_all_left(m: Contexts) -> None:
    """Each philosopher has taken the left fork, and waits for the right one.

    The forks make a circle, and so do the philosophers that wait for one. Two locks that two tasks take in opposite
    orders are the smallest such circle (ABBA).

    The fixed version, philosophers, takes the fork of the lower number first.
    """
    for seat in range(SEATS):
        forks = seat, (seat + 1) % SEATS  # wrong: the last of them takes the fork of the higher number first
        m.task(eat, *forks, cpu=seat, name=f"seat {seat}")


@scenario(cpus=3)
def philosophers(m: Contexts) -> None:
    """Each philosopher takes the fork of the lower number first.

    A philosopher with the fork of the highest number waits for no other fork, so there is no circle.
    """
    for seat in range(SEATS):
        forks = sorted((seat, (seat + 1) % SEATS))
        m.task(eat, *forks, cpu=seat, name=f"seat {seat}")
