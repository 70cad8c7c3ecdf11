"""SRCU and polled grace periods: whom they wait for, and whom not."""

from __future__ import annotations

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.kernel.rcu_poll import (
    cond_synchronize_rcu,
    get_state_synchronize_rcu,
    poll_state_synchronize_rcu,
    start_poll_synchronize_rcu,
)
from percpu_emu.kernel.srcu import (
    Srcu,
    cleanup_srcu_struct,
    init_srcu_struct,
    srcu_flip,
    srcu_read_lock,
    srcu_read_unlock,
    srcu_wait_for_readers,
    synchronize_srcu,
)
from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    cpu_relax,
    kfree,
    kzalloc,
    mark,
    preempt_disable,
    preempt_enable,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    wait_until,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import ContextSpec
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from tests.explore.searched import of, searched, task

from .cases import Case, beside

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Object(Struct):
    """What readers look at."""

    value: Word


class Shared(Struct):
    """Two domains; an object, a cookie, and what contexts tell each other."""

    srcu: Srcu
    other: Srcu
    object: Ptr[Object]
    cookie: Word
    flag: Word
    inside: Word


shared = Shared()


def publish() -> Program[None]:
    yield from init_srcu_struct(shared.srcu)
    yield from init_srcu_struct(shared.other)
    made = yield kzalloc(sizeof(Object))
    yield write_once(shared.object, made)


# --- SRCU


def read() -> Program[None]:
    index = yield from srcu_read_lock(shared.srcu)
    used = yield read_once(shared.object)
    if used:
        yield read_once(used.value)
    yield from srcu_read_unlock(shared.srcu, index)


def read_asleep() -> Program[None]:
    """Sleeps in its section."""
    index = yield from srcu_read_lock(shared.srcu)
    used = yield read_once(shared.object)
    yield wait_until(shared.flag, 1)
    if used:
        yield read_once(used.value)
    yield from srcu_read_unlock(shared.srcu, index)


def read_of_rcu_asleep() -> Program[None]:
    yield rcu_read_lock()
    yield wait_until(shared.flag, 1)
    yield rcu_read_unlock()


def wake() -> Program[None]:
    yield write_once(shared.flag, 1)


def remove() -> Program[None]:
    old = yield xchg(shared.object, 0)
    yield from synchronize_srcu(shared.srcu)
    yield kfree(old)


def remove_of_other_domain() -> Program[None]:
    """Waits for readers of another domain."""
    old = yield xchg(shared.object, 0)
    yield from synchronize_srcu(shared.other)
    yield kfree(old)


def remove_without_flip() -> Program[None]:
    """Waits for the readers of one index, and never turns new ones to the other."""
    old = yield xchg(shared.object, 0)
    yield from srcu_wait_for_readers(shared.srcu, 1)
    yield from srcu_flip(shared.srcu)
    yield kfree(old)


def update_inside() -> Program[None]:
    """Waits for the end of its own section."""
    index = yield from srcu_read_lock(shared.srcu)
    yield from synchronize_srcu(shared.srcu)
    yield from srcu_read_unlock(shared.srcu, index)


def update_other_inside() -> Program[None]:
    index = yield from srcu_read_lock(shared.other)
    yield from synchronize_srcu(shared.srcu)
    yield from srcu_read_unlock(shared.other, index)


def come_and_go() -> Program[None]:
    """Make a domain, and end it."""
    yield from init_srcu_struct(shared.srcu)
    yield from synchronize_srcu(shared.srcu)
    yield from cleanup_srcu_struct(shared.srcu)


# --- polled grace periods


def take_cookie() -> Program[None]:
    cookie = yield from start_poll_synchronize_rcu()
    yield write_once(shared.cookie, cookie)


def read_inside() -> Program[None]:
    """Takes the cookie itself: the grace period waits for this section."""
    yield rcu_read_lock()
    yield from take_cookie()
    over = yield from poll_state_synchronize_rcu(1)
    yield warn_on(over)
    yield rcu_read_unlock()


def read_beside_cookie() -> Program[None]:
    """Takes the cookie before its section: that may be over in it."""
    yield from take_cookie()
    yield rcu_read_lock()
    over = yield from poll_state_synchronize_rcu(1)
    yield warn_on(over)
    yield rcu_read_unlock()


def poll_until_over() -> Program[None]:
    yield from take_cookie()
    while not (yield from poll_state_synchronize_rcu(1)):
        yield cpu_relax()


def poll_in_section() -> Program[None]:
    """Asks in the section that the grace period waits for."""
    yield preempt_disable()
    yield from take_cookie()
    while not (yield from poll_state_synchronize_rcu(1)):
        yield cpu_relax()
    yield preempt_enable()


def later_takes_earlier_along() -> Program[None]:
    """Cookies are over in their order."""
    first = yield from get_state_synchronize_rcu()
    second = yield from get_state_synchronize_rcu()
    later = yield from poll_state_synchronize_rcu(second)
    earlier = yield from poll_state_synchronize_rcu(first)
    yield warn_on(later and not earlier)


def earlier_takes_later_along() -> Program[None]:
    first = yield from get_state_synchronize_rcu()
    second = yield from get_state_synchronize_rcu()
    earlier = yield from poll_state_synchronize_rcu(first)
    later = yield from poll_state_synchronize_rcu(second)
    yield warn_on(earlier and not later)


def either_answer() -> Program[int]:
    """Where no reader is, the grace period may be over or not: both are tried."""
    cookie = yield from get_state_synchronize_rcu()
    over = yield from poll_state_synchronize_rcu(cookie)
    yield from cond_synchronize_rcu(cookie)
    return over


def free_and_note(old: Object) -> Program[None]:
    yield kfree(old)
    yield mark("freed")


def retire_and_look() -> Program[None]:
    """What comes back from a cookie that is over was not looked at any more; also where `call_rcu` is used beside."""
    old = yield xchg(shared.object, 0)
    cookie = yield from get_state_synchronize_rcu()
    if (yield from poll_state_synchronize_rcu(cookie)):
        yield from free_and_note(old)
    else:
        yield call_rcu(free_and_note, old)


def retire_and_not_look() -> Program[None]:
    old = yield xchg(shared.object, 0)
    yield from get_state_synchronize_rcu()
    yield kfree(old)


def read_of_rcu() -> Program[None]:
    yield rcu_read_lock()
    used = yield read_once(shared.object)
    if used:
        yield read_once(used.value)
    yield rcu_read_unlock()


def wait_once() -> Program[None]:
    yield synchronize_rcu()


ONE = {"setup": publish}
FREED = Checks(left=2)  # the counts of the domains
CASES = [
    Case("readers of the domain", beside(read, read, remove, **ONE), beside(read, remove_of_other_domain, **ONE),
         "use-after-free", FREED),
    Case("readers of both indices", beside(read, remove, **ONE), beside(read, remove_without_flip, **ONE),
         "use-after-free", FREED),
    Case("a reader that sleeps", beside(read_asleep, remove, wake, **ONE), beside(read_of_rcu_asleep, wake, **ONE),
         "sleep-in-atomic"),
    Case("an updater in a section", beside(update_other_inside, **ONE), beside(update_inside, **ONE), "livelock"),
    Case("a cookie in a section", beside(read_inside, wait_once), beside(read_beside_cookie), "warning"),
    Case("polling", beside(poll_until_over, read_of_rcu, **ONE), beside(poll_in_section, **ONE), "livelock"),
    Case("the order of cookies", beside(later_takes_earlier_along, poll_until_over),
         beside(earlier_takes_later_along), "warning"),
    Case("what a cookie is for", beside(retire_and_look, read_of_rcu, **ONE),
         beside(retire_and_not_look, read_of_rcu, **ONE), "use-after-free", FREED),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_waits_for_these_readers(case: Case) -> None:
    case.hold()


def test_updaters_of_a_domain_wait_for_each_other_and_a_reader_may_move() -> None:
    reader = ContextSpec("read", read, "task", 0, migrates=1)
    assert searched(of(reader, task(remove, 1), task(wait_for_domain), setup=publish)).violations == set()


def wait_for_domain() -> Program[None]:
    yield from synchronize_srcu(shared.srcu)


def test_a_domain_leaves_nothing_behind() -> None:
    assert searched(of(task(come_and_go, 0)), Checks(left=0)).violations == set()


@pytest.mark.parametrize("reduce", [False, True], ids=["plain", "reduced"])
def test_a_grace_period_without_readers_may_be_over_at_once_or_not(reduce: bool) -> None:
    found = searched(of(task(either_answer, 0), cpus=1), reduce=reduce)
    assert found.violations == set()
    assert {results for _, results in found.finals} == {(0,), (1,)}
