"""An entry leaves a list that readers walk: its own pointer is cleared, or kept.

include/linux/rculist.h; P. E. McKenney and J. D. Slingwine, Read-copy update, 1998.
"""

from __future__ import annotations

from percpu_emu.kernel.list import ListHead, init_list_head, list_add, list_del, list_del_rcu
from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
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

    node: ListHead
    value: Word


class Shared(Struct):
    """The list, and its second entry."""

    list: ListHead
    second: Ptr[Entry]


shared = Shared()


def setup() -> Program[None]:
    """Entries with 1, 2 and 3."""
    yield from init_list_head(shared.list)
    for value in range(LAST, 0, -1):
        entry = yield kzalloc(sizeof(Entry))
        yield write_once(entry.value, value)
        yield from list_add(entry.node, shared.list)
        if value == 2:
            yield write_once(shared.second, entry)


def find_last() -> Program[None]:
    """Look for the entry that is there all the time."""
    value = 0
    yield rcu_read_lock()
    entry: Entry = yield rcu_dereference(shared.list.next)
    while entry != shared.list and value != LAST:
        value = yield read_once(entry.value)
        entry = yield rcu_dereference(entry.node.next)
    yield rcu_read_unlock()
    yield warn_on(value != LAST)


def hasty_remove() -> Program[None]:
    """Take the second entry out, and free it when no reader looks at it."""
    entry = yield read_once(shared.second)
    yield from list_del(entry.node)  # wrong: a reader may stand on it
    yield synchronize_rcu()
    yield kfree(entry)


@scenario(
    cpus=2,
    setup=setup,
    left=2,
    expect="wild-access",
    missing="keeping the pointer of the entry as long as readers may follow it",
)
def rcu_list_pointer_cleared(m: Contexts) -> None:
    """A reader stands on an entry that leaves the list, and follows a pointer to nowhere.

    The entry is unlinked, and freed after a grace period. But list_del poisons its pointers at once; a reader that
    stands on it follows them.

    The fixed version, rcu-list, leaves the pointer to the next entry as it is, as list_del_rcu does.
    """
    m.task(find_last, cpu=0)
    m.task(hasty_remove, cpu=1, name="remove")


def remove() -> Program[None]:
    """Take the second entry out, and free it when no reader looks at it."""
    entry = yield read_once(shared.second)
    yield from list_del_rcu(entry.node)
    yield synchronize_rcu()
    yield kfree(entry)


@scenario(cpus=2, setup=setup, left=2)
def rcu_list(m: Contexts) -> None:
    """A reader that stands on an entry which leaves the list finds the entries behind it.

    The entry still leads back to the list, until a grace period is over.
    """
    m.task(find_last, cpu=0)
    m.task(remove, cpu=1)
