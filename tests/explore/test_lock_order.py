"""Locks in a circle are found without the deadlock, and nothing is found where there is no circle."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percpu_emu.explore.lock_order import Taking, circle_in, orders_of
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.explore.subject import Subject
from percpu_emu.kernel.locks import (
    Mutex,
    SpinLock,
    TicketLock,
    mutex_lock,
    mutex_unlock,
    spin_lock,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irqrestore,
    ticket_lock,
    ticket_unlock,
)
from percpu_emu.lang.locking import takes
from percpu_emu.lang.ops import Program, cmpxchg, local_irq_restore, local_irq_save, read_once, wait_until, write_once
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.scenario.exploration import checks_of, verdict

from .searched import searched

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Shared(Struct):
    a: SpinLock
    b: SpinLock
    c: Mutex
    d: Mutex
    tickets: TicketLock
    gate: Mutex
    flag: Word
    count: AtomicLong


shared = Shared()


def a_then_b() -> Program[None]:
    yield from spin_lock(shared.a)
    yield from spin_lock(shared.b)
    yield from spin_unlock(shared.b)
    yield from spin_unlock(shared.a)


def a_then_b_then_flag() -> Program[None]:
    yield from a_then_b()
    yield write_once(shared.flag, 1)


def b_then_a() -> Program[None]:
    yield from spin_lock(shared.b)
    yield from spin_lock(shared.a)
    yield from spin_unlock(shared.a)
    yield from spin_unlock(shared.b)


def b_then_a_later() -> Program[None]:
    yield wait_until(shared.flag, 1)
    yield from b_then_a()


def a_then_b_later() -> Program[None]:
    yield wait_until(shared.flag, 1)
    yield from a_then_b()


def b_then_try_a_later() -> Program[None]:
    yield wait_until(shared.flag, 1)
    yield from spin_lock(shared.b)
    if (yield from spin_trylock(shared.a)):
        yield from spin_unlock(shared.a)
    yield from spin_unlock(shared.b)


def mutex_then_tickets() -> Program[None]:
    yield from mutex_lock(shared.c)
    yield from ticket_lock(shared.tickets)
    yield from ticket_unlock(shared.tickets)
    yield from mutex_unlock(shared.c)
    yield write_once(shared.flag, 1)


def tickets_then_spin_later() -> Program[None]:
    yield wait_until(shared.flag, 1)
    yield from ticket_lock(shared.tickets)
    yield from spin_lock(shared.a)
    yield from spin_unlock(shared.a)
    yield from ticket_unlock(shared.tickets)
    yield write_once(shared.flag, 2)


def spin_then_tickets_later() -> Program[None]:
    yield wait_until(shared.flag, 2)
    yield from spin_lock(shared.a)
    yield from ticket_lock(shared.tickets)
    yield from ticket_unlock(shared.tickets)
    yield from spin_unlock(shared.a)


def gated(one: int, other: int) -> Program[None]:
    yield from mutex_lock(shared.gate)
    yield from mutex_lock(one)
    yield from mutex_lock(other)
    yield from mutex_unlock(other)
    yield from mutex_unlock(one)
    yield from mutex_unlock(shared.gate)


def both_ways() -> Program[None]:
    yield from a_then_b()
    yield from b_then_a()


def careless_task() -> Program[None]:
    yield from spin_lock(shared.a)
    yield from spin_unlock(shared.a)


def careful_task() -> Program[None]:
    flags = yield from spin_lock_irqsave(shared.a)
    yield from spin_unlock_irqrestore(shared.a, flags)


def hasty_task() -> Program[None]:
    """Turns interrupts on before it lets the lock go."""
    flags = yield local_irq_save()
    yield from spin_lock(shared.a)
    yield local_irq_restore(flags)
    yield from spin_unlock(shared.a)


def chained_task() -> Program[None]:
    """`a` is taken with interrupts off, but `b` behind it is held with them on elsewhere."""
    flags = yield local_irq_save()
    yield from a_then_b()
    yield local_irq_restore(flags)


def holds_b() -> Program[None]:
    yield from spin_lock(shared.b)
    yield from spin_unlock(shared.b)


def handler() -> Program[None]:
    yield from spin_lock(shared.a)
    yield from spin_unlock(shared.a)


def task(program: Any, cpu: int, *arguments: int) -> ContextSpec:
    return ContextSpec(program.__name__, program, cpu=cpu, arguments=arguments)


def interrupt(program: Any, cpu: int) -> ContextSpec:
    return ContextSpec(f"interrupt {program.__name__}", program, "interrupt", cpu)


BROKEN = {
    "one after the other": [task(a_then_b_then_flag, 0), task(b_then_a_later, 1)],
    "on one CPU": [task(a_then_b_then_flag, 0), task(b_then_a_later, 0)],
    "two kinds of locks": [
        task(mutex_then_tickets, 0),
        task(tickets_then_spin_later, 1),
        task(spin_then_tickets_later, 0),
    ],
    "an interrupt elsewhere": [task(careless_task, 0), interrupt(handler, 1)],
    "interrupts on too early": [task(hasty_task, 0), interrupt(handler, 1)],
    "an interrupt behind another lock": [task(chained_task, 0), task(holds_b, 1), interrupt(handler, 2)],
}
FIXED = {
    "one order": [task(a_then_b_then_flag, 0), task(a_then_b_later, 1)],
    "an attempt does not wait": [task(a_then_b_then_flag, 0), task(b_then_try_a_later, 1)],
    "one context alone": [task(both_ways, 0)],
    "one context alone, beside another": [task(both_ways, 0), task(mutex_then_tickets, 1)],
    "a gate": [task(gated, 0, int(shared.c), int(shared.d)), task(gated, 1, int(shared.d), int(shared.c))],
    "interrupts off": [task(careful_task, 0), interrupt(handler, 1)],
    "no interrupt takes it": [task(careless_task, 0), interrupt(holds_b, 1)],
}


def of(contexts: list[ContextSpec]) -> Setting:
    return Setting(3, tuple(contexts))


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_circle_is_found_though_no_schedule_is_a_deadlock(name: str, *, reduce: bool) -> None:
    assert searched(of(BROKEN[name]), reduce=reduce).violations == {"circular-wait"}


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
@pytest.mark.parametrize("name", FIXED)
def test_no_circle_is_found_where_there_is_none(name: str, *, reduce: bool) -> None:
    assert searched(of(FIXED[name]), reduce=reduce).violations == set()


def test_the_deadlock_itself_comes_first() -> None:
    assert searched(of([task(a_then_b, 0), task(b_then_a, 1)])).violations == {"deadlock"}


@pytest.mark.parametrize("name", BROKEN)
def test_the_counterexample_has_both_orders_and_says_their_lines(name: str) -> None:
    explored = explore(Subject("order", of(BROKEN[name])), Options())
    example = explored.counterexample
    assert example is not None
    assert example.trace.violation is not None
    detail, guilty = example.trace.violation.detail, example.trace.violation.guilty
    assert "__" not in detail
    assert detail.count(" takes ") >= 1
    assert detail.count("_then_") + detail.count("_task (line ") + detail.count("handler (line ") >= 2
    assert len(guilty) >= 2
    assert guilty[-1] == len(example.schedule) - 1
    assert verdict(explored, checks_of(explored)) == "fail"
    (line,) = (check for check in checks_of(explored) if check.name == "lock order")
    assert line.ok is False


def test_the_line_of_a_report_is_there_where_locks_are_taken() -> None:
    explored = explore(Subject("order", of(FIXED["one order"])), Options())
    assert [check.ok for check in checks_of(explored) if check.name == "lock order"] == [True]
    without = explore(Subject("none", of([task(reads, 0)])), Options())
    assert [check.name for check in checks_of(without) if check.name == "lock order"] == []


def reads() -> Program[None]:
    yield read_once(shared.flag)


def test_a_lock_may_be_nested_deeper_than_there_is_room_for_at_first() -> None:
    deep = Setting(1, (ContextSpec("deep", takes_eight, cpu=0),))
    explored = explore(Subject("deep", deep), Options())
    assert verdict(explored, checks_of(explored)) == "pass"


def takes_eight() -> Program[None]:
    for word in range(int(shared) + 8, int(shared) + 16):
        yield from mutex_lock(word)
    for word in range(int(shared) + 8, int(shared) + 16):
        yield from mutex_unlock(word)


def test_only_an_operation_on_a_word_is_declared_to_take_a_lock() -> None:
    with pytest.raises(TypeError, match="allowed: an operation on a word"):
        takes(a_then_b, by=local_irq_save)
    with pytest.raises(TypeError, match="allowed: an operation on a word"):
        takes(a_then_b, by=print)
    takes(reads, by=cmpxchg)


# --- the circle, against every sequence of orders

TAKINGS = st.builds(
    Taking,
    context=st.integers(0, 3),
    row=st.just(0),
    lock=st.one_of(st.none(), st.integers(1, 4)),
    held=st.lists(st.tuples(st.integers(1, 4), st.just(0)), max_size=2, unique=True).map(tuple),
    in_interrupt=st.booleans(),
    irqs_off=st.booleans(),
    tries=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(TAKINGS, max_size=5))
def test_a_circle_is_found_exactly_where_some_sequence_of_orders_is_one(takings: list[Taking]) -> None:
    orders = list(dict.fromkeys(orders_of(takings)))[:7]
    found = circle_in_orders(orders)
    circle = circle_in(takings)
    if len(orders) < 7:
        assert bool(circle) == found
    if circle:
        assert is_circle(circle)


def circle_in_orders(orders: list[Any]) -> bool:
    return any(is_circle(way) for length in range(1, 5) for way in itertools.permutations(orders, length))


def is_circle(way: Any) -> bool:
    pairs = itertools.combinations(way, 2)
    apart = all(not one.contexts & other.contexts and not one.held & other.held for one, other in pairs)
    return apart and all(one.after == other.before for one, other in zip(way, [*way[1:], way[0]], strict=True))
