"""Two steps that another context can come between: settings that each tell one mutant of the search from the original.

The oracle says that the interleaving exists, and the searches have to find it. Where a move joins the two steps, it is
lost: each of these results depends on one rule of docs/soundness.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    call_rcu,
    ledger_add,
    ledger_commit,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_cond_load_acquire,
    smp_processor_id,
    this_cpu_inc,
    warn_on,
    write_once,
)
from percpu_emu.lang.setting import ContextSpec
from tests.programs import COUNTER, FLAG, SLOT, X

from . import edge_programs as p
from .oracle import reachable
from .searched import of, searched, task
from .test_against_oracle import compare

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
IN_STEP: Final = 4
"""So often a reader and a writer take turns: no random way of the learning comes to the read that follows."""


# --- one context raises FLAG, so that what the other does then cannot come before


def flag_then_call_rcu() -> Program[None]:
    yield write_once(FLAG, 1)
    yield call_rcu(p.write_late, 0)


def flag_then_barrier() -> Program[None]:
    yield write_once(FLAG, 1)
    yield from p.barrier_then_write()


def flag_then_read_inside() -> Program[int]:
    yield write_once(FLAG, 1)
    return (yield from p.read_twice_inside())


def flag_then_read_preempt_off() -> Program[int]:
    yield write_once(FLAG, 1)
    return (yield from p.read_twice_preempt_off())


def flag_inside_then_read() -> Program[int]:
    yield rcu_read_lock()
    yield write_once(FLAG, 1)
    x = yield read_once(X)
    yield rcu_read_unlock()
    return x


def on_flag_spin_inside() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.spin_inside()


def on_flag_queue_spinner() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.queue_spinner()


def on_flag_synchronize() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.synchronize_then_write()


def on_flag_barrier() -> Program[None]:
    yield smp_cond_load_acquire(FLAG, 1)
    yield from p.barrier_then_write()


# --- others


def read_on_two_cpus() -> Program[int]:
    x = yield read_once(X)
    cpu = yield smp_processor_id()
    flag = yield read_once(FLAG)
    return 4 * x + 2 * cpu + flag


def write_then_flag_preempt_off() -> Program[None]:
    yield write_once(X, 1)
    yield preempt_disable()
    yield write_once(FLAG, 1)
    yield preempt_enable()


def queue_then_write() -> Program[None]:
    yield queue_work(warn_before_write, 0)
    yield write_once(X, 1)


def call_then_write() -> Program[None]:
    yield call_rcu(warn_before_write, 0)
    yield write_once(X, 1)


def warn_before_write(_: int) -> Program[None]:
    x = yield read_once(X)
    yield warn_on(x == 0)


def total(counter: int) -> Program[int]:
    return (yield read_once(counter)) + (yield read_once(per_cpu(SLOT, 0)))


def count_on_own_copy() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield this_cpu_inc(SLOT)
    yield ledger_commit()


def count_on_copy_of_cpu_0() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(per_cpu(SLOT, 0), 1)
    yield ledger_commit()


def read_after_steps() -> Program[int]:
    for number in range(1, IN_STEP + 1):
        x = yield read_once(X)
        if x != number:
            return 0
    flag = yield read_once(FLAG)
    return 1 + flag


def count_steps_then_flag() -> Program[None]:
    for number in range(1, IN_STEP + 1):
        yield write_once(X, number)
    yield write_once(FLAG, 1)


def write_then_wild() -> Program[None]:
    yield write_once(X, 1)
    yield write_once(-1, 1)


class Case(NamedTuple):
    """Contexts, the violations that they come to, and what the first of them gives where there is none."""

    claim: str
    contexts: tuple[ContextSpec, ...]
    violations: tuple[str, ...] = ()
    results: tuple[int, ...] = ()


def moving(program: ProgramFunction) -> ContextSpec:
    return ContextSpec(program.__name__, program, "task", 0, migrates=1)


RARE: Final = (task(read_after_steps, 0), task(count_steps_then_flag, 1))
CASES: Final = (
    Case("a task moves to a CPU before preemption is off there",
         (moving(read_on_two_cpus), task(write_then_flag_preempt_off, 1)), results=(0, 1, 2, 3, 4, 5, 6, 7)),
    Case("a reader enters before call_rcu looks for readers",
         (task(flag_then_call_rcu, 0), task(on_flag_spin_inside, 1)), violations=("deadlock",)),
    Case("a callback is queued before rcu_barrier looks for callbacks",
         (task(flag_then_barrier, 0), task(on_flag_queue_spinner, 1)), violations=("deadlock",)),
    Case("a grace period is over before a reader enters",
         (task(flag_then_read_inside, 0), task(on_flag_synchronize, 1)), results=(0, 1, 3)),
    Case("a grace period is over before preemption is off",
         (task(flag_then_read_preempt_off, 0), task(on_flag_synchronize, 1)), results=(0, 1, 3)),
    Case("rcu_barrier does not wait for a reader",
         (task(flag_inside_then_read, 0), task(on_flag_barrier, 1)), results=(0, 1)),
    Case("work runs before the next step of what queues it", (task(queue_then_write),), violations=("warning",)),
    Case("a callback runs before the next step of what queues it", (task(call_then_write),), violations=("warning",)),
    Case("an addition of another CPU comes between the load and the store of an addition",
         (task(count_on_own_copy, 0), task(count_on_copy_of_cpu_0, 1)), violations=("lost-count",)),
    Case("a read that few ways come to meets a write", RARE, results=(0, 1, 2)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_searches_find_what_comes_between(case: Case) -> None:
    setting = of(*case.contexts)
    outcome = reachable(setting, total=total)
    assert outcome.violations == set(case.violations)
    if not case.violations:
        assert {results[0] for _, results in outcome.finals} == set(case.results)
    compare(setting, Checks(total=total), outcome)


def test_a_conflict_that_no_random_way_meets_makes_the_search_begin_anew() -> None:
    assert searched(of(*RARE)).search.rounds > 1


def test_a_step_that_is_caught_needs_no_choice() -> None:
    """One move writes X and is caught: no state lies between. The reader finds X as it was before."""
    found = searched(of(task(write_then_wild, 0), task(p.read_twice, 1)))
    assert found.violations == {"wild-access"}
    assert found.states == 3
