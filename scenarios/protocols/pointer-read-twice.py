"""A pointer is tested and used: read anew for the use, or read once."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    write_once,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Object(Struct):
    """What a stock of charges belongs to."""

    nr_bytes: Word


class Stock(Struct):
    """The stock of a CPU: the object that it has cached, or NULL."""

    cached: Ptr[Object]


stock = Stock()


def setup() -> Program[None]:
    """An object is cached."""
    cached = yield kzalloc(sizeof(Object))
    yield write_once(stock.cached, cached)


def give_back() -> Program[None]:
    """Cache it no longer; free it when no reader looks at it."""
    cached = yield read_once(stock.cached)
    yield rcu_assign_pointer(stock.cached, 0)
    yield synchronize_rcu()
    yield kfree(cached)


def look() -> Program[int]:
    """How many bytes the cached object has, if there is one."""
    nr_bytes = 0
    yield rcu_read_lock()
    if (yield rcu_dereference(stock.cached)):
        cached = yield rcu_dereference(stock.cached)  # wrong: it may be another one, or NULL
        nr_bytes = yield read_once(cached.nr_bytes)
    yield rcu_read_unlock()
    return nr_bytes


@scenario(
    cpus=2,
    setup=setup,
    left=0,
    expect="wild-access",
    missing="keeping the pointer that was tested, instead of reading it again",
)
def pointer_read_twice(m: Contexts) -> None:
    """A pointer that another CPU sets to NULL is tested in one read and used in a second.

    A drain of the stocks of charges looks at what each CPU has cached. The pointer is read once for the test and once
    more for the use, as a compiler may do without READ_ONCE; in between the CPU gives its stock back and sets the
    pointer to NULL. The grace period before the free does not help: it is the NULL that is followed.
    obj_stock_flush_required crashed so until 2023 (cousin of S14).

    The fixed version reads the pointer into a variable.
    """
    m.task(look)
    m.task(give_back, cpu=1)


def look_once() -> Program[int]:
    """How many bytes the cached object has, if there is one."""
    nr_bytes = 0
    yield rcu_read_lock()
    cached = yield rcu_dereference(stock.cached)
    if cached:
        nr_bytes = yield read_once(cached.nr_bytes)
    yield rcu_read_unlock()
    return nr_bytes


@scenario(cpus=2, setup=setup, left=0)
def pointer_read_twice_fixed(m: Contexts) -> None:
    """A pointer that another CPU sets to NULL is read once.

    The pointer is read once into a variable, which is tested and used: it stays valid to the end of the section,
    whatever stands in memory by then.
    """
    m.task(look_once, name="look")
    m.task(give_back, cpu=1)
