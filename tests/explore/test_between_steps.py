"""Two steps that another context can come between: settings that each tell a mutant of the search from the original.

The oracle says that the interleaving exists, and the searches have to find it. Where a move joins the two steps, it is
lost: each of these results depends on one rule of docs/soundness.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, ContextSpec
from tests import programs as common

from . import between_flags as f
from . import between_sends as s
from . import between_words as w
from . import edge_programs as p
from .oracle import reachable
from .searched import of, searched, task
from .test_against_oracle import compare

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction
    from percpu_emu.lang.setting import ContextKind

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Case(NamedTuple):
    """Contexts, the violations that they come to, and what the first of them gives where there is none."""

    claim: str
    contexts: tuple[ContextSpec, ...]
    violations: tuple[str, ...] = ()
    results: tuple[int, ...] = ()


def moving(program: ProgramFunction) -> ContextSpec:
    return ContextSpec(program.__name__, program, "task", 0, migrates=1)


def event(kind: ContextKind, program: ProgramFunction, cpu: int = 0) -> ContextSpec:
    return ContextSpec(program.__name__, program, kind, cpu)


RARE: Final = (task(w.read_after_steps, 0), task(w.count_steps_then_flag, 1))
CASES: Final = (
    Case("a task moves to a CPU before preemption is off there",
         (moving(w.read_on_two_cpus), task(w.write_then_flag_preempt_off, 1)), results=(0, 1, 2, 3, 4, 5, 6, 7)),
    Case("a reader enters before call_rcu looks for readers",
         (task(f.flag_then_call_rcu, 0), task(f.on_flag_spin_inside, 1)), violations=("deadlock",)),
    Case("a callback is queued before rcu_barrier looks for callbacks",
         (task(f.flag_then_barrier, 0), task(f.on_flag_queue_spinner, 1)), violations=("deadlock",)),
    Case("a grace period is over before a reader enters",
         (task(f.flag_then_read_inside, 0), task(f.on_flag_synchronize, 1)), results=(0, 1, 3)),
    Case("a grace period is over before preemption is off",
         (task(f.flag_then_read_preempt_off, 0), task(f.on_flag_synchronize, 1)), results=(0, 1, 3)),
    Case("rcu_barrier does not wait for a reader",
         (task(f.flag_inside_then_read, 0), task(f.on_flag_barrier, 1)), results=(0, 1)),
    Case("work runs before the next step of what queues it", (task(w.queue_then_write),), violations=("warning",)),
    Case("a callback runs before the next step of what queues it", (task(w.call_then_write),), violations=("warning",)),
    Case("an addition of another CPU comes between the load and the store of an addition",
         (task(w.count_on_own_copy, 0), task(w.count_on_copy_of_cpu_0, 1)), violations=("lost-count",)),
    Case("an interrupt comes between the store of an increment and the next step",
         (ContextSpec("read", w.read_flag_and_x, "interrupt", 0), task(w.increment_then_write, 0),
          task(w.store_then_flag, 1)), results=(0, 1, 2, 3)),
    Case("an interrupt comes between two reads with preemption off",
         (task(p.read_twice_preempt_off, 0), ContextSpec("write", p.write_x, "interrupt", 0, (1,))), results=(0, 1, 3)),
    Case("a task moves to a CPU and writes there between two reads of the copy",
         (task(w.read_own_copy_twice, 1), moving(w.increment_at_second_step)), results=(0, 1, 3)),
    Case("a task runs before another one of its CPU turns preemption off",
         (task(w.read_x_and_flag, 1), task(w.write_then_flag_preempt_off, 1)), results=(0, 1, 2, 3)),
    Case("a task runs after another one of its CPU has turned preemption on",
         (task(w.read_flag_and_x, 0), task(f.enter_then_on_flag_write, 0), task(f.on_entered_flag, 1)),
         results=(0, 1, 2, 3)),
    Case("a CPU goes off line between two turns",
         (ContextSpec("write", w.write_each_turn, "task", 0, ("turn",), 2), event("offline", common.nothing)),
         results=(0, 1, 2)),
    Case("an interrupt begins before synchronize_rcu looks for readers",
         (task(f.flag_then_synchronize, 0), event("interrupt", f.spin_if_flag, 1)), violations=("deadlock",)),
    Case("an interrupt has begun before a callback is queued, and reads a flag after it",
         (event("interrupt", f.begin_then_spin_if_flag), task(f.call_rcu_then_flag, 1)), violations=("deadlock",)),
    Case("a callback that spins begins before the work is queued that ends its wait",
         (task(f.call_rcu_then_queue_writer, 0),), violations=("deadlock",)),
    Case("a task that spins takes the CPU before the work is queued that ends its wait",
         (task(f.flag_then_queue_writer, 0), task(f.on_flag_spin_preempt_off, 0)), violations=("deadlock",)),
    Case("a callback that spins is queued by another task before the work that ends its wait",
         (task(f.flag_then_queue_writer, 0), task(f.on_flag_queue_spinner, 0)), violations=("deadlock",)),
    Case("a reader has entered before a callback is queued, and reads a flag after it",
         (task(f.spin_inside_if_flag, 0), task(f.call_rcu_then_flag, 1)), violations=("deadlock",)),
    Case("a callback runs on a CPU before synchronize_rcu looks for readers",
         (task(f.flag_then_synchronize, 0), task(f.on_flag_queue_spinner, 1)), violations=("deadlock",)),
    Case("a callback is queued before a reader enters",
         (task(f.flag_then_read_inside, 0), task(f.on_flag_call_rcu, 1)), results=(0, 1, 3)),
    Case("a callback is queued after rcu_barrier has looked for callbacks",
         (task(f.on_flag_barrier_then_read, 0), task(f.flag_then_call_rcu, 1)), results=(0, 1)),
    Case("a grace period that began before a reader entered ends before it leaves",
         (task(f.flag_inside_then_read, 0), task(f.enter_then_on_flag_leave, 1), task(f.on_entered_synchronize)),
         results=(0, 1)),
    Case("a grace period is over before a reader enters that gives way at once",
         (task(w.relax_inside_then_read, 0), task(p.synchronize_then_write, 1)), results=(0, 1)),
    Case("a callback begins after the next step of what queues it", (task(w.call_late_then_write, 0),),
         violations=("warning",)),
    Case("work that is not queued yet comes between two reads",
         (task(p.read_twice, 0), task(w.queue_work_that_writes, 1)), results=(0, 1, 3)),
    Case("another context allocates first",
         (task(f.flag_then_allocate, 0), task(f.on_flag_allocate, 1)),
         results=(FIRST_OBJECT, FIRST_OBJECT + OBJECT_WORDS)),
    Case("a store that few ways come to is done between the load and the store of an increment",
         (task(w.store_after_steps, 0), task(w.count_steps_then_increment, 1)), results=(0, 1)),
    Case("an interrupt that is sent comes before interrupts are off",
         (task(s.irqs_off_then_on_flag_read, 0), task(s.send_then_flag, 1)), results=(0, 1)),
    Case("an interrupt that is sent behind a flag comes before interrupts are off",
         (task(s.flag_then_irqs_off_read, 0), task(s.on_flag_send_one, 1)), results=(0, 1)),
    Case("an interrupt that is sent does not sleep", (task(s.send_sleeper, 1),), violations=("sleep-in-atomic",)),
    Case("a callback that spins is queued by an interrupt that is sent before the work that ends its wait",
         (task(f.flag_then_queue_writer, 0), task(s.on_flag_send_caller_here)), violations=("deadlock",)),
    Case("an interrupt that is sent to a CPU changes its copy between two reads",
         (task(w.read_own_copy_twice, 0), task(s.send_increment, 1)), results=(0, 1, 3)),
    Case("an interrupt that another one sends changes what a task reads twice",
         (task(p.read_twice, 0), task(s.send_chain)), results=(0, 1, 3)),
    Case("an interrupt comes before the next step of what sends it", (task(s.send_then_write, 1),),
         violations=("warning",)),
    Case("an interrupt comes after the next step of what sends it", (task(s.send_late_then_write, 1),),
         violations=("warning",)),
    Case("interrupts of a CPU come in the order in which they are sent",
         (task(s.send_two_then_on_second_read, 1),), results=(2,)),
    Case("an interrupt is sent between a flag and another one",
         (task(s.send_two_if_flag, 1), task(s.flag_then_send_one)), results=(0, 1)),
    Case("a CPU goes off line between a flag and an interrupt that is sent there",
         (task(s.flag_then_send_result, 1), event("offline", common.nothing), task(s.read_flag_and_mask)),
         results=(0, 1)),
    Case("an interrupt that was sent comes before its CPU goes off line",
         (task(s.send_if_online, 1), event("offline", s.read_x)), results=(0, 1)),
    Case("an interrupt that was sent is lost where its CPU is killed",
         (task(s.send_if_online, 1), event("kill", s.read_x)), results=(0, 1)),
    Case("an interrupt that was sent has to come", (task(s.send_warning, 1),), violations=("warning",)),
    Case("an interrupt that is sent begins before synchronize_rcu looks for readers",
         (task(f.flag_then_synchronize, 0), task(s.on_flag_send_spinner)), violations=("deadlock",)),
    Case("a callback of an interrupt that is sent begins before synchronize_rcu looks for readers",
         (task(f.flag_then_synchronize, 0), task(s.on_flag_send_caller)), violations=("deadlock",)),
    Case("an interrupt that spins is sent before the work is queued that ends its wait",
         (task(f.flag_then_queue_writer, 0), task(s.on_flag_send_spinner_here, 1)), violations=("deadlock",)),
    Case("a read that few ways come to meets a write", RARE, results=(0, 1, 2)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_searches_find_what_comes_between(case: Case) -> None:
    setting = of(*case.contexts)
    outcome = reachable(setting, total=w.total)
    assert outcome.violations == set(case.violations)
    if not case.violations:
        assert {results[0] for _, results in outcome.finals} == set(case.results)
    compare(setting, Checks(total=w.total), outcome)


def test_a_conflict_that_no_random_way_meets_makes_the_search_begin_anew() -> None:
    assert searched(of(*RARE)).search.rounds > 1


def test_a_step_that_is_caught_needs_no_choice() -> None:
    """One move writes X and is caught: no state lies between. The reader finds X as it was before."""
    found = searched(of(task(w.write_then_wild, 0), task(p.read_twice, 1)))
    assert found.violations == {"wild-access"}
    assert found.states == 3
