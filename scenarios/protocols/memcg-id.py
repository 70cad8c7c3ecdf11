"""Ids of cgroups: the last reference gives an id back without the lock, or with it.

mm/memcontrol.c since 4.7; CVE-2024-43892, 9972605a2383 of 6.11.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.locks import Mutex, SpinLock, mutex_lock, mutex_unlock, spin_lock, spin_unlock
from percpu_emu.lang.ops import Program, read_once, warn_on, write_once, xchg
from percpu_emu.lang.structures import Array, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

OLD_ID = 1


class Ids(Struct):
    """The map of ids in use, those that a cgroup has, the mutex of cgroups and the lock of the map."""

    map: Word
    taken: Array[Word, Literal[3]]
    cgroup_mutex: Mutex
    lock: SpinLock


ids = Ids()


def setup() -> Program[None]:
    """A cgroup that dies has an id."""
    yield write_once(ids.map, 1 << OLD_ID)
    yield write_once(ids.taken[OLD_ID], 1)


def take_lowest() -> Program[None]:
    """Take the lowest free id; no cgroup may have it."""
    used = yield read_once(ids.map)
    lowest = 0
    while used >> lowest & 1:
        lowest += 1
    yield write_once(ids.map, used | 1 << lowest)
    taken = yield xchg(ids.taken[lowest], 1)
    yield warn_on(taken)


def give_back(number: int) -> Program[None]:
    """Give the id back."""
    yield write_once(ids.taken[number], 0)
    used = yield read_once(ids.map)
    yield write_once(ids.map, used & ~(1 << number))


def alloc() -> Program[None]:
    """A cgroup is made, under the mutex."""
    yield from mutex_lock(ids.cgroup_mutex)
    yield from take_lowest()
    yield from mutex_unlock(ids.cgroup_mutex)


def last_put() -> Program[None]:
    """The last reference to a cgroup is dropped, from anywhere."""
    yield from give_back(OLD_ID)  # wrong: others may be changing the map


@scenario(
    cpus=2,
    setup=setup,
    expect="warning",
    missing="a lock of the map that also the last reference takes",
)
def memcg_id_twice(m: Contexts) -> None:
    """Two cgroups have one id, since an id is given back without the lock of the map.

    Ids are taken under cgroup_mutex. They are given back with the last reference, which may be dropped where no mutex
    can be taken; so none was. The map is read, changed and written back: an id that is taken in between is free again,
    and the next cgroup gets it, too. When one of the two goes, the lists of the other go with it (B11;
    CVE-2024-43892, 9972605a2383).

    The fixed version has a spinlock for the map.
    """
    m.task(alloc, cpu=0, turns=2)
    m.task(last_put, cpu=1)


def locked_alloc() -> Program[None]:
    """A cgroup is made, under the mutex."""
    yield from mutex_lock(ids.cgroup_mutex)
    yield from spin_lock(ids.lock)
    yield from take_lowest()
    yield from spin_unlock(ids.lock)
    yield from mutex_unlock(ids.cgroup_mutex)


def locked_last_put() -> Program[None]:
    """The last reference to a cgroup is dropped, from anywhere."""
    yield from spin_lock(ids.lock)
    yield from give_back(OLD_ID)
    yield from spin_unlock(ids.lock)


@scenario(cpus=2, setup=setup)
def memcg_id_twice_fixed(m: Contexts) -> None:
    """Ids are taken and given back under the lock of the map.

    Each change of the map is whole before the next begins.
    """
    m.task(locked_alloc, cpu=0, name="alloc", turns=2)
    m.task(locked_last_put, cpu=1, name="last_put")
