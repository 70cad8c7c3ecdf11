"""The first task that needs an object makes it (double-checked locking), and publishes it before it is ready, or after.

D. Schmidt and T. Harrison, Double-checked locking, 1996; D. Bacon and others, The "Double-checked locking is broken"
declaration, 2000.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import Mutex, mutex_lock, mutex_unlock
from percpu_emu.lang.ops import (
    Program,
    kzalloc,
    read_once,
    smp_load_acquire,
    smp_store_release,
    warn_on,
    write_once,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

VALUE = 7


class Object(Struct):
    """What is made once."""

    value: Word


class Shared(Struct):
    """The object, NULL until it is made, and the lock under which it is made."""

    made: Ptr[Object]
    lock: Mutex


shared = Shared()


def check(made: Object) -> Program[None]:
    """The object is ready."""
    value = yield read_once(made.value)
    yield warn_on(value != VALUE)


def hasty_get() -> Program[None]:
    """Look at the object; make it if it is not there."""
    made = yield smp_load_acquire(shared.made)
    if not made:
        yield from mutex_lock(shared.lock)
        made = yield read_once(shared.made)
        if not made:
            made = yield kzalloc(sizeof(Object))
            yield smp_store_release(shared.made, made)
            yield write_once(made.value, VALUE)  # wrong: others have found it already
        yield from mutex_unlock(shared.lock)
    yield from check(made)


@scenario(
    cpus=2,
    left=1,
    expect="warning",
    missing="making the object ready before its pointer is published",
)
def once_published_early(m: Contexts) -> None:
    """A task finds an object that another has published and not made ready yet.

    Tasks look at the pointer without the lock; a task that finds NULL takes the lock and looks again. So a pointer has
    to mean that the object is ready, and here it only means that the object exists. A compiler or a processor turns
    correct code without barriers into this.

    The fixed version, once, publishes last.
    """
    m.task(hasty_get, cpu="all", name="get")


def hasty_make() -> Program[None]:
    """Look at the object; make it if it is not there."""
    made = yield smp_load_acquire(shared.made)
    if not made:
        yield from mutex_lock(shared.lock)
        made = yield from make()  # wrong: another may have made it while this one waited for the lock
        yield from mutex_unlock(shared.lock)
    yield from check(made)


def make() -> Program[Object]:
    """Make the object and publish it."""
    made = yield kzalloc(sizeof(Object))
    yield write_once(made.value, VALUE)
    yield smp_store_release(shared.made, made)
    return made


@scenario(
    cpus=2,
    left=1,
    expect="leak",
    missing="the second look at the pointer, under the lock",
)
def once_checked_once(m: Contexts) -> None:
    """Two tasks find no object, and each makes one.

    The lock orders the two, but the second does not look again. The pointer to the first object is lost.

    The fixed version, once, looks again under the lock.
    """
    m.task(hasty_make, cpu="all", name="get")


def get() -> Program[None]:
    """Look at the object; make it if it is not there."""
    made = yield smp_load_acquire(shared.made)
    if not made:
        yield from mutex_lock(shared.lock)
        made = yield read_once(shared.made)
        if not made:
            made = yield from make()
        yield from mutex_unlock(shared.lock)
    yield from check(made)


@scenario(cpus=3, left=1)
def once(m: Contexts) -> None:
    """The first of three tasks makes an object, and all find it ready.

    A task that waited for the lock looks again. A task that does not take it finds a ready object.
    """
    m.task(get, cpu="all")
