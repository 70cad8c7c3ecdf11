"""Two bit fields in one word, each with a lock of its own.

Documentation/memory-barriers.txt, "guarantees": C writes a bit field by reading its word, changing some bits and
writing the whole word, so all fields of a word need one lock.
"""

from __future__ import annotations

from typing import Literal

from percpu_emu.kernel.locks import SpinLock, spin_lock, spin_unlock
from percpu_emu.lang.bits import read_bits, write_bits
from percpu_emu.lang.ops import Program
from percpu_emu.lang.state import State
from percpu_emu.lang.structures import Bits, Struct
from percpu_emu.scenario.decorator import Contexts, scenario


class Page(Struct):
    """Two flags, which share a word."""

    dirty: Bits[Literal[1]]
    users: Bits[Literal[7]]
    dirty_lock: SpinLock
    users_lock: SpinLock


page = Page()


def final(state: State) -> str | None:
    """Both CPUs have written."""
    seen = state.at(page)
    return None if (seen.dirty, seen.users) == (1, 1) else f"a field was overwritten: {seen}"


def mark_dirty() -> Program[None]:
    """Set one field, under its lock."""
    yield from spin_lock(page.dirty_lock)
    yield from write_bits(page.dirty, 1)
    yield from spin_unlock(page.dirty_lock)


def add_user() -> Program[None]:
    """Count in the other."""
    yield from spin_lock(page.users_lock)  # wrong: dirty is in the same word, and has another lock
    users = yield from read_bits(page.users)
    yield from write_bits(page.users, users + 1)
    yield from spin_unlock(page.users_lock)


@scenario(cpus=2, final=final, expect="final", missing="one lock for all fields of the word")
def bit_fields_two_locks(m: Contexts) -> None:
    """A bit field is overwritten by a CPU that writes its neighbour under another lock.

    The fields are in one word. To write one is to read the word and to write all of it: what another CPU has written
    into the neighbour in between is lost.

    The fixed version, bit-fields, has one lock for both. Two words would do as well.
    """
    m.task(mark_dirty, cpu=0)
    m.task(add_user, cpu=1)


def mark_dirty_in_turn() -> Program[None]:
    """Set one field, under the lock of the word."""
    yield from spin_lock(page.users_lock)
    yield from write_bits(page.dirty, 1)
    yield from spin_unlock(page.users_lock)


@scenario(cpus=2, final=final)
def bit_fields(m: Contexts) -> None:
    """Bit fields of one word are written under one lock.

    A field is read and the word is written while no other CPU does so.
    """
    m.task(mark_dirty_in_turn, cpu=0)
    m.task(add_user, cpu=1)
