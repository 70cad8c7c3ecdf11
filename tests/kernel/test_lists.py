"""list_head and hlist: the entries and their order, in both directions; readers that walk a list while it changes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.kernel.list import (
    HlistHead,
    HlistNode,
    ListHead,
    hlist_add_head,
    hlist_add_head_rcu,
    hlist_del,
    hlist_del_rcu,
    hlist_unhashed,
    init_list_head,
    list_add,
    list_add_rcu,
    list_add_tail,
    list_add_tail_rcu,
    list_del,
    list_del_init,
    list_del_rcu,
    list_empty,
)
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
from percpu_emu.lang.structures import Array, Ptr, Struct, Word, sizeof
from tests.explore.searched import of, searched, task

from .cases import Case, beside

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
NODES = 3


class Node(Struct):
    """An entry of either kind of list, with its number from 1."""

    node: ListHead
    number: Word


class Hashed(Struct):
    """The same for a bucket."""

    node: HlistNode
    number: Word


class Shared(Struct):
    """A list, a bucket, and all entries there are."""

    list: ListHead
    bucket: HlistHead
    nodes: Array[Node, Literal[3]]
    hashed: Array[Hashed, Literal[3]]
    first: Ptr[Node]


shared = Shared()


def change_list(sequence: int) -> Program[int]:
    """Decimal digits, the first of all steps last: a way (0 to 3) to put on or take off, x 3 + an entry's number."""
    yield from init_list_head(shared.list)
    there = 0
    while sequence:
        step = sequence % 100 - 10
        sequence = sequence // 100
        which = step % NODES
        way = step // NODES
        node: Node = shared.nodes[which]
        yield write_once(node.number, which + 1)
        if there >> which & 1:
            if way == 0:
                yield from list_del(node.node)
            elif way == 1:
                yield from list_del_rcu(node.node)
            else:
                yield from list_del_init(node.node)
        elif way == 0:
            yield from list_add(node.node, shared.list)
        elif way == 1:
            yield from list_add_tail(node.node, shared.list)
        elif way == 2:
            yield from list_add_rcu(node.node, shared.list)
        else:
            yield from list_add_tail_rcu(node.node, shared.list)
        there ^= 1 << which
    return (yield from listed())


def listed() -> Program[int]:
    """The numbers of the entries as the digits of a number; warns where another direction, or `list_empty`, differs."""
    forwards = 0
    backwards = 0
    place = 1
    node: Node = yield read_once(shared.list.next)
    while node != shared.list:
        number = yield read_once(node.number)
        forwards = forwards * 10 + number
        node = yield read_once(node.node.next)
    node = yield read_once(shared.list.prev)
    while node != shared.list:
        number = yield read_once(node.number)
        backwards += number * place
        place *= 10
        node = yield read_once(node.node.prev)
    yield warn_on(forwards != backwards)
    empty = yield from list_empty(shared.list)
    yield warn_on(empty != (forwards == 0))
    return forwards


def change_bucket(sequence: int) -> Program[int]:
    """The same of a bucket; warns where `pprev` leads not to the entry."""
    there = 0
    while sequence:
        step = sequence % 100 - 10
        sequence = sequence // 100
        which = step % NODES
        way = step // NODES
        node: Hashed = shared.hashed[which]
        yield write_once(node.number, which + 1)
        if there >> which & 1:
            if way & 1:
                yield from hlist_del(node.node)
            else:
                yield from hlist_del_rcu(node.node)
        elif way & 1:
            yield from hlist_add_head(node.node, shared.bucket)
        else:
            yield from hlist_add_head_rcu(node.node, shared.bucket)
        there ^= 1 << which
        unhashed = yield from hlist_unhashed(node.node)
        yield warn_on(unhashed)
    return (yield from hashed())


def hashed() -> Program[int]:
    forwards = 0
    node: Hashed = yield read_once(shared.bucket.first)
    while node:
        number = yield read_once(node.number)
        forwards = forwards * 10 + number
        leads_here = yield read_once(node.node.pprev)
        yield warn_on((yield read_once(leads_here)) != node)
        node = yield read_once(node.node.next)
    return forwards


def expected(steps: list[int], front: frozenset[int]) -> int:
    """What stands on the list after those steps; `front`: the ways that put an entry in front."""
    found: list[int] = []
    for step in steps:
        way, which = divmod(step, NODES)
        if which + 1 in found:
            found.remove(which + 1)
        else:
            found.insert(0 if way in front else len(found), which + 1)
    return int("".join(map(str, found)) or "0")


@pytest.mark.parametrize(
    ("program", "front"),
    [(change_list, frozenset({0, 2})), (change_bucket, frozenset({0, 1, 2, 3}))],
    ids=["list_head", "hlist"],
)
def test_entries_stand_as_in_a_list_of_python(program: ProgramFunction, front: frozenset[int]) -> None:
    drawn = random.Random(1)
    for _ in range(25):
        steps = [drawn.randrange(4 * NODES) for _ in range(drawn.randrange(9))]
        sequence = sum((step + 10) * 100**place for place, step in enumerate(steps))
        found = searched(of(task(program, 0, sequence), cpus=1))
        assert found.violations == set(), steps
        assert {results for _, results in found.finals} == {(expected(steps, front),)}, steps


# --- readers beside an updater


def two_entries() -> Program[None]:
    """Entry 1, which is allocated, and entry 2, which stays."""
    yield from init_list_head(shared.list)
    yield write_once(shared.nodes[1].number, 2)
    yield from list_add(shared.nodes[1].node, shared.list)
    made = yield kzalloc(sizeof(Node))
    yield write_once(made.number, 1)
    yield from list_add(made.node, shared.list)
    yield write_once(shared.first, made)


def find_second() -> Program[None]:
    """Entry 2 is there at all times."""
    number = 0
    yield rcu_read_lock()
    node: Node = yield rcu_dereference(shared.list.next)
    while node != shared.list and number != 2:
        number = yield read_once(node.number)
        yield warn_on(number == 0)
        node = yield rcu_dereference(node.node.next)
    yield rcu_read_unlock()
    yield warn_on(number != 2)


def add_third() -> Program[None]:
    yield write_once(shared.nodes[2].number, 3)
    yield from list_add_rcu(shared.nodes[2].node, shared.list)


def add_third_half_made() -> Program[None]:
    """The list leads to the entry before that leads on."""
    following: ListHead = yield read_once(shared.list.next)
    yield rcu_assign_pointer(shared.list.next, shared.nodes[2].node)
    yield write_once(shared.nodes[2].number, 3)
    yield write_once(shared.nodes[2].node.next, following)


def remove_first() -> Program[None]:
    entry = yield read_once(shared.first)
    yield from list_del_rcu(entry.node)
    yield synchronize_rcu()
    yield kfree(entry)


def remove_first_at_once() -> Program[None]:
    entry = yield read_once(shared.first)
    yield from list_del_rcu(entry.node)
    yield kfree(entry)


def remove_second_time() -> Program[None]:
    yield from list_del(shared.nodes[1].node)
    yield from list_del(shared.nodes[1].node)


def remove_third_twice() -> Program[None]:
    yield from list_add(shared.nodes[2].node, shared.list)
    yield from list_del_init(shared.nodes[2].node)
    yield from list_del_init(shared.nodes[2].node)


LIST = {"setup": two_entries}
CASES = [
    Case("list_add_rcu", beside(find_second, add_third, **LIST), beside(find_second, add_third_half_made, **LIST),
         "wild-access"),
    Case("list_del_rcu", beside(find_second, remove_first, **LIST), beside(find_second, remove_first_at_once, **LIST),
         "use-after-free", Checks(left=1)),
    Case("list_del", beside(remove_third_twice, **LIST), beside(remove_second_time, **LIST), "wild-access"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_readers_find_their_way_while_a_list_changes(case: Case) -> None:
    case.hold()
