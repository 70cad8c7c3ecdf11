"""list_head and hlist: linked lists whose entries know their place, with the variants for readers under RCU.

include/linux/list.h and rculist.h. A node is the first field of what is on a list, so that a pointer to the one is a
pointer to the other. Updaters keep each other away. Readers follow `next` by `rcu_dereference`, up to the head:

    node = yield rcu_dereference(head.next)
    while node != head:
        ...
        node = yield rcu_dereference(node.next)
"""

from __future__ import annotations

from typing import Final

from percpu_emu.lang.ops import Program, rcu_assign_pointer, read_once, write_once
from percpu_emu.lang.structures import Ptr, Struct, Word

LIST_POISON1: Final = 0x100
LIST_POISON2: Final = 0x122
"""What `list_del` and its kin leave in an entry: no memory is there."""


class ListHead(Struct):
    """struct list_head: a list, or an entry of one; a circle in both directions."""

    next: Ptr[ListHead]
    prev: Ptr[ListHead]


class HlistNode(Struct):
    """struct hlist_node: an entry of a bucket; `pprev` is the address of the word that leads to it."""

    next: Ptr[HlistNode]
    pprev: Ptr[Word]


class HlistHead(Struct):
    """struct hlist_head: a bucket of a hash table, of one word."""

    first: Ptr[HlistNode]


def init_list_head(head: ListHead) -> Program[None]:
    """An empty list, or an entry that is on none."""
    yield write_once(head.next, head)
    yield write_once(head.prev, head)


def list_empty(head: ListHead) -> Program[int]:
    """1 where nothing is on the list, else 0."""
    return (yield read_once(head.next)) == head


def list_add(new: ListHead, head: ListHead) -> Program[None]:
    """Put an entry in front."""
    following: ListHead = yield read_once(head.next)
    yield write_once(following.prev, new)
    yield write_once(new.next, following)
    yield write_once(new.prev, head)
    yield write_once(head.next, new)


def list_add_tail(new: ListHead, head: ListHead) -> Program[None]:
    """Put an entry at the end."""
    last: ListHead = yield read_once(head.prev)
    yield from list_add(new, last)


def list_del(entry: ListHead) -> Program[None]:
    """Take an entry out; whoever follows its pointers is caught."""
    yield from _unlink(entry)
    yield write_once(entry.next, LIST_POISON1)
    yield write_once(entry.prev, LIST_POISON2)


def list_del_init(entry: ListHead) -> Program[None]:
    """Take an entry out; it may be taken out again, which does nothing."""
    yield from _unlink(entry)
    yield from init_list_head(entry)


def list_add_rcu(new: ListHead, head: ListHead) -> Program[None]:
    """Put an entry in front, while readers may walk the list: it is whole before they find it."""
    following: ListHead = yield read_once(head.next)
    yield write_once(new.next, following)
    yield write_once(new.prev, head)
    yield rcu_assign_pointer(head.next, new)
    yield write_once(following.prev, new)


def list_add_tail_rcu(new: ListHead, head: ListHead) -> Program[None]:
    """The same at the end."""
    last: ListHead = yield read_once(head.prev)
    yield from list_add_rcu(new, last)


def list_del_rcu(entry: ListHead) -> Program[None]:
    """Take an entry out; a reader that stands on it finds its way. It is freed after a grace period, not before."""
    yield from _unlink(entry)
    yield write_once(entry.prev, LIST_POISON2)


def _unlink(entry: ListHead) -> Program[None]:
    """The neighbours lead to each other."""
    following: ListHead = yield read_once(entry.next)
    before: ListHead = yield read_once(entry.prev)
    yield write_once(following.prev, before)
    yield write_once(before.next, following)


def hlist_unhashed(node: HlistNode) -> Program[int]:
    """1 where an entry is on no list, else 0."""
    return (yield read_once(node.pprev)) == 0


def hlist_add_head(new: HlistNode, head: HlistHead) -> Program[None]:
    """Put an entry in front."""
    first: HlistNode = yield read_once(head.first)
    yield write_once(new.next, first)
    if first:
        yield write_once(first.pprev, new.next)
    yield write_once(head.first, new)
    yield write_once(new.pprev, head.first)


def hlist_del(node: HlistNode) -> Program[None]:
    """Take an entry out; whoever follows its pointers is caught."""
    yield from _unhash(node)
    yield write_once(node.next, LIST_POISON1)
    yield write_once(node.pprev, LIST_POISON2)


def hlist_add_head_rcu(new: HlistNode, head: HlistHead) -> Program[None]:
    """Put an entry in front, while readers may walk the list: it is whole before they find it."""
    first: HlistNode = yield read_once(head.first)
    yield write_once(new.next, first)
    yield write_once(new.pprev, head.first)
    yield rcu_assign_pointer(head.first, new)
    if first:
        yield write_once(first.pprev, new.next)


def hlist_del_rcu(node: HlistNode) -> Program[None]:
    """Take an entry out; a reader that stands on it finds its way."""
    yield from _unhash(node)
    yield write_once(node.pprev, LIST_POISON2)


def _unhash(node: HlistNode) -> Program[None]:
    """What led to the entry leads behind it."""
    following: HlistNode = yield read_once(node.next)
    leads_here: Word = yield read_once(node.pprev)
    yield write_once(leads_here, following)
    if following:
        yield write_once(following.pprev, leads_here)
