"""Polled grace periods: from where a cookie is taken, and when the waiters of a grace period are collected.

RCU itself, in words: the sequence of the grace periods (odd while one is under way) and its copy at the root of the
tree, which follows later. kernel/rcu/tree.c; 85aad7cc4178 of 6.15 corrects 91a967fd6934.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    mark,
    read_once,
    smp_cond_load_acquire,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Object(Struct):
    """What the reader looks at."""

    value: Word


class Rcu(Struct):
    """The two sequences, CPU 1 (whether it is online, and in a read-side section), and the waiter."""

    sequence: Word
    root_sequence: Word
    online: Word
    inside: Word
    waiting: Word
    served: Word
    object: Ptr[Object]


rcu = Rcu()


def setup() -> Program[None]:
    """An object is published."""
    made = yield kzalloc(sizeof(Object))
    yield write_once(rcu.object, made)


def come_online_and_read() -> Program[None]:
    """CPU 1 comes online, and looks at the object in a section."""
    yield write_once(rcu.online, 1)
    yield write_once(rcu.inside, 1)
    used = yield read_once(rcu.object)
    if used:
        yield read_once(used.value)
    yield write_once(rcu.inside, 0)


def grace_period() -> Program[None]:
    """Start both sequences, wait for the CPUs that are online, end both."""
    waiting = yield xchg(rcu.waiting, 0)
    sequence = yield read_once(rcu.sequence)
    yield write_once(rcu.sequence, sequence + 1)
    yield from wait_and_end(sequence, waiting)


def wait_and_end(sequence: int, waiting: int) -> Program[None]:
    """What a grace period does once it has begun; at the end it serves the waiter that it collected."""
    online = yield read_once(rcu.online)
    yield write_once(rcu.root_sequence, sequence + 1)
    if online:
        yield smp_cond_load_acquire(rcu.inside, 0)
    yield write_once(rcu.root_sequence, sequence + 2)
    yield write_once(rcu.sequence, sequence + 2)
    if waiting:
        yield write_once(rcu.served, 1)


def end_of_next(sequence: int) -> Program[int]:
    """The sequence at the end of the first grace period that begins from now on (rcu_seq_snap)."""
    yield mark("cookie")
    return (sequence + 3) & ~1


def free_when_over(old: Object, cookie: int) -> Program[None]:
    """Free the object, if the grace period of the cookie is over."""
    if (yield read_once(rcu.root_sequence)) >= cookie:
        yield kfree(old)
        yield mark("freed")


# --- the cookie


def replace_by_root() -> Program[None]:
    """Unpublish the object; free it after a grace period."""
    old = yield xchg(rcu.object, 0)
    root_sequence = yield read_once(rcu.root_sequence)  # wrong: the grace period may have begun elsewhere
    cookie = yield from end_of_next(root_sequence)
    yield from free_when_over(old, cookie)


@scenario(
    cpus=3,
    setup=setup,
    expect="use-after-free",
    missing="taking the cookie from the sequence that starts first",
)
def polled_cookie_from_root(m: Contexts) -> None:
    """The cookie of a polled grace period is taken from a sequence that lags behind.

    A grace period starts the global sequence, notes which CPUs are online, and then starts the sequence of the root.
    A CPU that comes online in between is not waited for. A cookie from the root, taken then, says that the grace
    period is yet to begin and that its end is enough: the reader on the new CPU loses its object (B1; 85aad7cc4178).

    The fixed version takes the cookie from the global sequence, and still polls the root's.
    """
    m.task(grace_period, turns=2)
    m.task(come_online_and_read, cpu=1, name="reader")
    m.task(replace_by_root, cpu=2, name="replace")


def replace() -> Program[None]:
    """Unpublish the object; free it after a grace period."""
    old = yield xchg(rcu.object, 0)
    sequence = yield read_once(rcu.sequence)
    cookie = yield from end_of_next(sequence)
    yield from free_when_over(old, cookie)


@scenario(cpus=3, setup=setup, sometimes=["freed"])
def polled_cookie_from_root_fixed(m: Contexts) -> None:
    """The cookie of a polled grace period is taken from the global sequence.

    If a grace period has begun, the cookie asks for the end of the next one, which waits for every CPU that is online
    by then.
    """
    m.task(grace_period, turns=2)
    m.task(come_online_and_read, cpu=1, name="reader")
    m.task(replace, cpu=2)


# --- the waiters


def grace_period_collecting_late() -> Program[None]:
    """Start both sequences, wait for the CPUs that are online, end both."""
    sequence = yield read_once(rcu.sequence)
    yield write_once(rcu.sequence, sequence + 1)
    waiting = yield xchg(rcu.waiting, 0)  # wrong: a waiter that came after the start has a cookie for the next one
    yield from wait_and_end(sequence, waiting)


def synchronize() -> Program[None]:
    """Take a cookie and ask; where it is served, the grace period of the cookie has to be over."""
    sequence = yield read_once(rcu.sequence)
    cookie = yield from end_of_next(sequence)
    yield write_once(rcu.waiting, 1)
    if (yield read_once(rcu.served)):
        root_sequence = yield read_once(rcu.root_sequence)
        yield warn_on(root_sequence < cookie)
        yield mark("served")


@scenario(
    cpus=2,
    expect="warning",
    missing="collecting the waiters before the sequence starts",
)
def polled_waiters_collected_late(m: Contexts) -> None:
    """A grace period serves a waiter whose cookie is for the next one.

    synchronize_rcu takes a cookie and puts itself on a list. A grace period collects the list and serves it. If it
    collects the list after the start of the global sequence, from which cookies are taken, it serves a waiter that
    comes in between one grace period too early, and a warning fires. So the correction of polled-cookie-from-root alone
    is not enough (B1; 85aad7cc4178 moves both).

    The fixed version collects first.
    """
    m.task(grace_period_collecting_late, name="grace_period", turns=2)
    m.task(synchronize, cpu=1)


@scenario(cpus=2, sometimes=["served"])
def polled_waiters_collected_late_fixed(m: Contexts) -> None:
    """A grace period collects its waiters, then starts.

    A waiter that is collected took its cookie before the start, so the end of this grace period is enough.
    """
    m.task(grace_period, turns=2)
    m.task(synchronize, cpu=1)
