"""Hazard pointers: a reader announces an object and uses it, or first checks that the object is still current.

M. M. Michael, Hazard pointers: safe memory reclamation for lock-free objects, 2004.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    kfree,
    kzalloc,
    read_once,
    smp_mb,
    smp_store_release,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

VALUE = 7


class Object(Struct):
    """What readers look at."""

    value: Word


class Shared(Struct):
    """The object that is current, and the one that the reader uses."""

    current: Ptr[Object]
    hazard: Ptr[Object]


shared = Shared()


def new_object() -> Program[Object]:
    """An object with a value."""
    made = yield kzalloc(sizeof(Object))
    yield write_once(made.value, VALUE)
    return made


def setup() -> Program[None]:
    """One object is current."""
    made = yield from new_object()
    yield write_once(shared.current, made)


def replace() -> Program[None]:
    """Make another object current; free the old one when no reader has announced it."""
    made = yield from new_object()
    old = yield xchg(shared.current, made)
    while (yield read_once(shared.hazard)) == old:
        yield cpu_relax()
    yield kfree(old)


def use(used: Object) -> Program[None]:
    """Look at the object; it is not needed any more."""
    value = yield read_once(used.value)
    yield warn_on(value != VALUE)
    yield smp_store_release(shared.hazard, 0)


def hasty_read() -> Program[None]:
    """Look at the current object."""
    used = yield read_once(shared.current)
    yield write_once(shared.hazard, used)  # wrong: it may be freed already
    yield from use(used)


@scenario(
    cpus=2,
    setup=setup,
    left=1,
    expect="use-after-free",
    missing="reading the pointer again once it is announced",
)
def hazard_not_read_again(m: Contexts) -> None:
    """A reader announces an object that is freed by then.

    Between the read of the pointer and the announcement another task replaces the object, finds no hazard pointer to
    it, and frees it. The announcement comes too late.

    The fixed version, hazard-pointer, reads the pointer again: if it is the same, the announcement came first.
    """
    m.task(hasty_read, cpu=0, name="read")
    m.task(replace, cpu=1)


def read() -> Program[None]:
    """Look at the current object."""
    used = 0
    again: Object = yield read_once(shared.current)
    while used != again:
        used = again
        yield write_once(shared.hazard, used)
        yield smp_mb()
        again = yield read_once(shared.current)
    yield from use(again)


@scenario(cpus=2, setup=setup, left=1)
def hazard_pointer(m: Contexts) -> None:
    """A reader announces an object, and sees that it is still current.

    A task that replaces it afterwards finds the announcement.
    """
    m.task(read, cpu=0, turns=2)
    m.task(replace, cpu=1)
