"""Sequence lock, references, completion, list without a lock: what each promises holds in every order."""

from __future__ import annotations

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.kernel.completion import Completion, complete, wait_for_completion
from percpu_emu.kernel.llist import LlistHead, LlistNode, llist_add, llist_del_all, llist_del_first
from percpu_emu.kernel.locks import spin_lock, spin_unlock
from percpu_emu.kernel.refcount import (
    Refcount,
    refcount_dec_and_test,
    refcount_inc,
    refcount_inc_not_zero,
    refcount_set,
)
from percpu_emu.kernel.seqlock import SeqLock, read_seqbegin, read_seqretry, write_seqlock, write_sequnlock
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    atomic_long_add,
    atomic_long_add_return,
    counted,
    kfree,
    kzalloc,
    read_once,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.structures import AtomicLong, Ptr, Struct, Word, sizeof
from tests.explore.searched import of, task

from .cases import Case, beside

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Node(Struct):
    """An entry of a list; `taken` is 1 while a consumer has it."""

    node: LlistNode
    taken: Word


class Shared(Struct):
    """All of them, and what they protect."""

    seqlock: SeqLock
    completion: Completion
    ref: Refcount
    list: LlistHead
    first: Node
    second: Node
    object: Ptr[Node]
    total: AtomicLong
    one: Word
    other: Word


shared = Shared()


# --- seqlock


def write_pair() -> Program[None]:
    yield from write_seqlock(shared.seqlock)
    yield from change_pair()
    yield from write_sequnlock(shared.seqlock)


def change_pair() -> Program[None]:
    x = yield read_once(shared.one)
    yield write_once(shared.one, x + 1)
    yield write_once(shared.other, x + 1)


def read_pair() -> Program[None]:
    start = yield from read_seqbegin(shared.seqlock)
    x = yield read_once(shared.one)
    y = yield read_once(shared.other)
    while (yield from read_seqretry(shared.seqlock, start)):
        start = yield from read_seqbegin(shared.seqlock)
        x = yield read_once(shared.one)
        y = yield read_once(shared.other)
    yield warn_on(x != y)


def read_pair_once() -> Program[None]:
    """What is torn is not read again."""
    yield from read_seqbegin(shared.seqlock)
    x = yield read_once(shared.one)
    y = yield read_once(shared.other)
    yield warn_on(x != y)


# --- references


def one_reference() -> Program[None]:
    made: Node = yield kzalloc(sizeof(Node))
    yield from refcount_set(shared.ref, 1)
    yield write_once(shared.object, made)


def two_references() -> Program[None]:
    yield from one_reference()
    yield from refcount_inc(shared.ref)


def drop() -> Program[None]:
    if (yield from refcount_dec_and_test(shared.ref)):
        made = yield read_once(shared.object)
        yield kfree(made)


def use() -> Program[None]:
    if (yield from refcount_inc_not_zero(shared.ref)):
        made = yield read_once(shared.object)
        yield write_once(made.taken, 1)
        yield from drop()


def use_without_looking() -> Program[None]:
    """Takes a reference even from 0."""
    yield from refcount_inc(shared.ref)
    yield from drop()


def drop_and_look() -> Program[None]:
    """Looks up what the count is afterwards: both may find 0."""
    yield atomic_long_add_return(shared.ref.refs, -1)
    if (yield read_once(shared.ref.refs)) == 0:
        made = yield read_once(shared.object)
        yield kfree(made)


# --- completion


def finish() -> Program[None]:
    yield atomic_long_add(shared.total, 1)
    yield from complete(shared.completion)


def finish_early() -> Program[None]:
    """Says so before it is done."""
    yield from complete(shared.completion)
    yield atomic_long_add(shared.total, 1)


def wait() -> Program[None]:
    yield from wait_for_completion(shared.completion)
    x = yield read_once(shared.total)
    yield warn_on(x == 0)


def finish_with_interrupts_on() -> Program[None]:
    """Holds the lock while an interrupt may want it."""
    yield from spin_lock(shared.completion.lock)
    done = yield read_once(shared.completion.done)
    yield write_once(shared.completion.done, done + 1)
    yield write_once(shared.completion.ready, 1)
    yield from spin_unlock(shared.completion.lock)


def interrupted(program: ProgramFunction) -> Setting:
    """A task and an interrupt of one CPU complete, a task waits."""
    return of(task(wait, 0), task(program, 1), ContextSpec("interrupt", finish, "interrupt", 1))


# --- list


def add_first() -> Program[None]:
    with counted(shared.total, 1):
        yield from llist_add(shared.first.node, shared.list)


def add_second() -> Program[None]:
    with counted(shared.total, 1):
        yield from llist_add(shared.second.node, shared.list)


def add_second_carelessly() -> Program[None]:
    """By a load and a store of the head."""
    with counted(shared.total, 1):
        first = yield read_once(shared.list.first)
        yield write_once(shared.second.node.next, first)
        yield write_once(shared.list.first, shared.second.node)


def take_all() -> Program[None]:
    node: LlistNode = yield from llist_del_all(shared.list)
    while node:
        yield atomic_long_add(shared.total, 1)
        node = yield read_once(node.next)


def taken_and_listed(address: int) -> Program[int]:
    """How many entries were taken, and how many are on the list."""
    x = yield read_once(address)
    node = yield read_once(shared.list.first)
    while node:
        x += 1
        node = yield read_once(node.next)
    return x


def add_both() -> Program[None]:
    yield from llist_add(shared.first.node, shared.list)
    yield from llist_add(shared.second.node, shared.list)


def take_first() -> Program[None]:
    """Has an entry to itself until it puts it back."""
    node: LlistNode = yield from llist_del_first(shared.list)
    yield from mark_taken(node)


def take_two_and_return_one() -> Program[None]:
    node: LlistNode = yield from llist_del_first(shared.list)
    other: LlistNode = yield from llist_del_first(shared.list)
    yield from mark_taken(other)
    if node:
        yield from llist_add(node, shared.list)


def mark_taken(entry: Node) -> Program[None]:
    if entry:
        taken = yield xchg(entry.taken, 1)
        yield warn_on(taken)


COUNTS = Checks(taken_and_listed)
FREED = Checks(left=0)
CONSUMERS = of(task(take_first, 0, turns=2), task(take_two_and_return_one, 1), setup=add_both)
ONE_CONSUMER = of(task(take_first, 0, turns=2), task(add_second, 1), setup=add_first)
CASES = [
    Case("seqlock", beside(write_pair, write_pair, read_pair), beside(write_pair, read_pair_once), "warning"),
    Case("seqlock writers", beside(write_pair, write_pair, read_pair), beside(change_pair, read_pair), "warning"),
    Case(
        "refcount_inc_not_zero",
        beside(drop, use, use, setup=one_reference),
        beside(drop, use_without_looking, setup=one_reference),
        "warning",
        FREED,
    ),
    Case(
        "refcount_dec_and_test",
        beside(drop, drop, setup=two_references),
        beside(drop_and_look, drop_and_look, setup=two_references),
        "double-free",
        FREED,
    ),
    Case("completion", beside(wait, finish), beside(wait, finish_early), "warning"),
    Case("completion of each", beside(wait, wait, finish, finish), beside(wait, wait, finish), "deadlock"),
    Case("completion in an interrupt", interrupted(finish), interrupted(finish_with_interrupts_on), "deadlock"),
    Case(
        "llist_add",
        beside(add_first, add_second, take_all),
        beside(add_first, add_second_carelessly),
        "lost-count",
        COUNTS,
    ),
    Case("llist_del_first", ONE_CONSUMER, CONSUMERS, "warning"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_it_promises_holds(case: Case) -> None:
    case.hold()
