"""llist: a list without a lock. Any number of contexts add entries; a consumer takes all of them at once.

lib/llist.c and include/linux/llist.h. `llist_del_first` is for one consumer at a time: between its read of `next` and
its compare-and-swap another consumer may take the first entry, and add it again.
"""

from __future__ import annotations

from percpu_emu.lang.ops import Program, cmpxchg, read_once, smp_load_acquire, write_once, xchg
from percpu_emu.lang.structures import Ptr, Struct


class LlistNode(Struct):
    """struct llist_node: the first field of what is on a list."""

    next: Ptr[LlistNode]


class LlistHead(Struct):
    """struct llist_head: the last entry that was added, or NULL."""

    first: Ptr[LlistNode]


def llist_add(node: LlistNode, head: LlistHead) -> Program[int]:
    """Put an entry in front. Gives 1 where the list was empty, else 0."""
    first = yield read_once(head.first)
    while True:
        yield write_once(node.next, first)
        seen = yield cmpxchg(head.first, first, node)
        if seen == first:
            return first == 0
        first = seen


def llist_del_all(head: LlistHead) -> Program[LlistNode]:
    """The first entry of all there are, the newest; NULL where there is none. They are the caller's."""
    return (yield xchg(head.first, 0))


def llist_del_first(head: LlistHead) -> Program[LlistNode]:
    """Take the newest entry; NULL where there is none. One consumer at a time."""
    first: LlistNode = yield smp_load_acquire(head.first)
    while first:
        following = yield read_once(first.next)
        seen: LlistNode = yield cmpxchg(head.first, first, following)
        if seen == first:
            return first
        first = seen
    return first
