"""An entry leaves a list that readers walk: its own pointer is cleared, or kept.

include/linux/rculist.h; P. E. McKenney and J. D. Slingwine, Read-copy update, 1998.
"""

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
    warn_on,
    write_once,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

LAST = 3


class Entry(Struct):
    """An entry of the list."""

    next: Ptr[Entry]
    value: Word


class List(Struct):
    """The first entry."""

    first: Ptr[Entry]


entries = List()


def setup() -> Program[None]:
    """Entries with 1, 2 and 3."""
    following = 0
    for value in range(LAST, 0, -1):
        entry = yield kzalloc(sizeof(Entry))
        yield write_once(entry.value, value)
        yield write_once(entry.next, following)
        following = entry
    yield write_once(entries.first, following)


def find_last() -> Program[None]:
    """Look for the entry that is there all the time."""
    value = 0
    yield rcu_read_lock()
    entry = yield rcu_dereference(entries.first)
    while entry and value != LAST:
        value = yield read_once(entry.value)
        entry = yield rcu_dereference(entry.next)
    yield rcu_read_unlock()
    yield warn_on(value != LAST)


def unlink() -> Program[Entry]:
    """Take the second entry out of the list."""
    before: Entry = yield read_once(entries.first)
    entry = yield read_once(before.next)
    following = yield read_once(entry.next)
    yield rcu_assign_pointer(before.next, following)
    return entry


def list_del() -> Program[None]:
    """Take the second entry out, and free it when no reader looks at it."""
    entry: Entry = yield from unlink()
    yield write_once(entry.next, 0)  # wrong: a reader may stand on it
    yield synchronize_rcu()
    yield kfree(entry)


@scenario(
    cpus=2,
    setup=setup,
    left=2,
    expect="warning",
    missing="keeping the pointer of the entry as long as readers may follow it",
)
def rcu_list_pointer_cleared(m: Contexts) -> None:
    """A reader stands on an entry that leaves the list, and does not find the entries behind it.

    The entry is unlinked, and freed after a grace period. But it is initialised anew at once, as list_del does; a
    reader that stands on it follows NULL, and takes that for the end of the list.

    The fixed version, rcu-list, leaves its pointer as it is, as list_del_rcu does.
    """
    m.task(find_last, cpu=0)
    m.task(list_del, cpu=1)


def list_del_rcu() -> Program[None]:
    """Take the second entry out, and free it when no reader looks at it."""
    entry: Entry = yield from unlink()
    yield synchronize_rcu()
    yield kfree(entry)


@scenario(cpus=2, setup=setup, left=2)
def rcu_list(m: Contexts) -> None:
    """A reader that stands on an entry which leaves the list finds the entries behind it.

    The entry still leads back to the list, until a grace period is over.
    """
    m.task(find_last, cpu=0)
    m.task(list_del_rcu, cpu=1)
