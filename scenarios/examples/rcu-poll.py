"""Polled grace periods: the cookie is taken before the object is unpublished, or behind it.

Documentation/RCU/checklist.rst, and the comments at get_state_synchronize_rcu() in kernel/rcu/tree.c.
"""

from __future__ import annotations

from percpu_emu.kernel.rcu_poll import (
    cond_synchronize_rcu,
    get_state_synchronize_rcu,
    poll_state_synchronize_rcu,
    start_poll_synchronize_rcu,
)
from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    mark,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Object(Struct):
    """What the reader looks at."""

    value: Word


class Shared(Struct):
    """The object; one that was unpublished, and since when."""

    object: Ptr[Object]
    removed: Ptr[Object]
    cookie: Word


shared = Shared()


def setup() -> Program[None]:
    """The object is published."""
    made = yield kzalloc(sizeof(Object))
    yield write_once(shared.object, made)


def read() -> Program[None]:
    """Look at the object in a section."""
    yield rcu_read_lock()
    used = yield rcu_dereference(shared.object)
    if used:
        yield read_once(used.value)
    yield rcu_read_unlock()


def hasty_remove() -> Program[None]:
    """Unpublish the object, and free it after a grace period."""
    cookie = yield from get_state_synchronize_rcu()  # wrong: readers still find the object
    old = yield xchg(shared.object, 0)
    yield from cond_synchronize_rcu(cookie)
    yield kfree(old)


@scenario(
    cpus=2,
    setup=setup,
    expect="use-after-free",
    missing="unpublishing the object before the cookie is taken",
)
def rcu_poll_cookie_early(m: Contexts) -> None:
    """The cookie of a grace period is taken before the object is unpublished.

    cond_synchronize_rcu does not wait where a grace period has come and gone since the cookie was taken. Where that was
    before the object was unpublished, a reader that came in between still looks at it.

    The fixed version takes the cookie behind that.
    """
    m.task(read, cpu=0)
    m.task(hasty_remove, cpu=1, name="remove")


def remove() -> Program[None]:
    """Unpublish the object, and free it after a grace period."""
    old = yield xchg(shared.object, 0)
    cookie = yield from get_state_synchronize_rcu()
    yield from cond_synchronize_rcu(cookie)
    yield kfree(old)


@scenario(cpus=2, setup=setup, left=0)
def rcu_poll_cookie_early_fixed(m: Contexts) -> None:
    """The cookie of a grace period is taken behind the unpublishing.

    Every reader that may look at the object is in its section by then, and the grace period waits for it.
    """
    m.task(read, cpu=0)
    m.task(remove, cpu=1)


# --- another context asks


def retire() -> Program[None]:
    """Unpublish the object, and leave it to the cleaner."""
    old = yield xchg(shared.object, 0)
    cookie = yield from start_poll_synchronize_rcu()
    yield write_once(shared.cookie, cookie)
    yield write_once(shared.removed, old)


def hasty_clean() -> Program[None]:
    """Free what was unpublished."""
    old = yield xchg(shared.removed, 0)
    if old:
        yield kfree(old)  # wrong: its grace period may not be over


@scenario(
    cpus=3,
    setup=setup,
    expect="use-after-free",
    missing="asking whether the grace period is over",
)
def rcu_poll_not_asked(m: Contexts) -> None:
    """A cleaner frees an object without asking whether the grace period of its cookie is over.

    The cookie stands beside the object for whoever cleans up. This cleaner does not look at it.

    The fixed version asks, and waits for a grace period where the answer is no.
    """
    m.task(read, cpu=0)
    m.task(retire, cpu=1)
    m.task(hasty_clean, cpu=2, name="clean")


def clean() -> Program[None]:
    """Free what was unpublished, once its grace period is over."""
    old = yield xchg(shared.removed, 0)
    cookie = yield read_once(shared.cookie)
    if old and (yield from poll_state_synchronize_rcu(cookie)):
        yield mark("over")
        yield kfree(old)
    elif old:
        yield mark("waits")
        yield synchronize_rcu()
        yield kfree(old)


@scenario(cpus=3, setup=setup, sometimes=["over", "waits"])
def rcu_poll_not_asked_fixed(m: Contexts) -> None:
    """A cleaner asks whether the grace period of the cookie is over, and waits where it is not.

    The cookie is a number: any context may ask.
    """
    m.task(read, cpu=0)
    m.task(retire, cpu=1)
    m.task(clean, cpu=2)
