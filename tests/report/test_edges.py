"""Which step follows from which: small traces, each with the edges that it has, and none that it has not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from percpu_emu.explore.model import Model
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import FIRST_OBJECT, Setting
from percpu_emu.lang.trace import Access, Step, Trace, TracedContext
from percpu_emu.report.export.edges import Edge, arrows, edges
from percpu_emu.report.export.participants import participants
from percpu_emu.report.view import View
from tests.replay import programs as p

from .shipped import counterexample
from .traces import COUNTER, STATS, going_offline

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
TASKS = [TracedContext(number, f"task{number}", number, "task", "update") for number in range(3)]


def view(*steps: Step, contexts: Sequence[TracedContext] = TASKS) -> View:
    return View(Trace("mine", "", contexts, steps, {}))


def taken(setting: Setting, schedule: Sequence[int]) -> View:
    """The steps of a schedule, as the engine takes them."""
    stepper = Stepper(Model(setting)).run(schedule)
    contexts = sorted(stepper.actors.values(), key=lambda context: context.number)
    return View(Trace("mine", "", contexts, stepper.steps, {}, standings=stepper.standings))


def touch(context: int, op: str, old: int = 0, new: int = 0, *, write: bool = True, half: str = "") -> Step:
    return Step(context, op, (COUNTER,), accesses=(Access(COUNTER, old, new, write),), cpu=context, half=half)


def test_a_read_follows_from_the_last_store_of_another_context() -> None:
    steps = [touch(0, "write_once", 0, 1), touch(1, "write_once", 1, 2), touch(2, "read_once", 2, 2, write=False)]
    assert edges(view(*steps)) == [Edge(2, 1, "read")]
    assert arrows(view(*steps)) == []


def test_a_plain_store_follows_from_nothing_and_an_update_does() -> None:
    assert edges(view(touch(0, "write_once", 0, 1), touch(1, "write_once", 1, 2))) == []
    assert edges(view(touch(0, "write_once", 0, 1), touch(1, "atomic_long_add", 1, 2))) == [Edge(1, 0, "read")]
    assert edges(view(touch(0, "cmpxchg", 0, 0, write=False), touch(1, "read_once", write=False))) == []


def test_of_an_update_in_two_halves_the_load_reads_and_the_store_writes() -> None:
    load = touch(0, "this_cpu_add", 0, 0, write=False, half="load")
    store = touch(0, "this_cpu_add", 5, 1, half="store")
    other, read = touch(1, "write_once", 0, 5), touch(1, "read_once", 1, 1, write=False)
    assert edges(view(load, other, store, read)) == [Edge(3, 2, "read")]
    assert edges(view(other, load)) == [Edge(1, 0, "read")]


def test_no_edge_leads_to_the_same_context() -> None:
    assert edges(view(touch(0, "write_once", 0, 1), touch(0, "read_once", 1, 1, write=False))) == []


def test_a_read_of_what_was_published_is_an_arrow() -> None:
    published = Step(0, "rcu_assign_pointer", (STATS, 0), accesses=(Access(STATS, 512, 0, True),), cpu=0)
    read = Step(1, "rcu_dereference", (STATS,), accesses=(Access(STATS, 0, 0),), cpu=1)
    assert arrows(view(published, read)) == [Edge(1, 0, "publish")]


def test_each_callback_follows_from_what_queued_it_although_they_share_a_slot() -> None:
    contexts = [TASKS[0], *(TracedContext(5, name, None, "callback", name) for name in ("first", "second"))]
    queue, run = Step(0, "call_rcu", (5, 0), cpu=0), Step(5, "smp_mb", ended=True)
    assert edges(view(queue, run, queue, run, contexts=contexts)) == [Edge(1, 0, "queue"), Edge(3, 2, "queue")]


def test_a_program_that_is_queued_twice_follows_from_each_call() -> None:
    contexts = [TASKS[0], TracedContext(5, "free", None, "callback", "free")]
    queue, run = Step(0, "call_rcu", (5, 0), cpu=0), Step(5, "smp_mb", ended=True)
    assert edges(view(queue, run, queue, run, contexts=contexts)) == [Edge(1, 0, "queue"), Edge(3, 2, "queue")]


def test_what_is_queued_and_never_runs_leads_nowhere() -> None:
    assert edges(view(Step(0, "queue_work", (5, 0), cpu=0))) == []


def test_a_grace_period_follows_from_the_end_of_the_section_that_it_waits_for() -> None:
    trace = counterexample("flush-before-grace-period")
    [edge] = [edge for edge in edges(View(trace)) if edge.kind == "wait"]
    assert trace.steps[edge.source].op == "rcu_read_unlock"
    assert trace.steps[edge.target].op == "synchronize_rcu"
    assert trace.steps[edge.target].context != trace.steps[edge.source].context


def test_a_barrier_follows_from_the_end_of_the_callback() -> None:
    found = taken(p.CALLBACK, [0, 0, 1, 1, 1, 0, 0, 2, 1])
    ops = [step.op for step in found.trace.steps]
    assert ops[4:] == ["rcu_barrier", "this_cpu_inc", "rcu_read_unlock", "free_percpu", "rcu_barrier"]
    assert arrows(found) == [Edge(7, 3, "queue"), Edge(7, 6, "wait"), Edge(8, 7, "wait")]


def test_a_grace_period_follows_from_the_death_of_the_cpu_that_it_waits_for() -> None:
    dies = Setting(
        2, (p.task(p.update, 0), p.task(p.free_after_grace_period, 1), p.event("kill", 0, p.fold)), p.publish
    )
    found = taken(dies, [0, 0, 1, 1, 2, 2, 1])
    assert [step.op for step in found.trace.steps][3:5] == ["synchronize_rcu", "kill"]
    assert arrows(found) == [Edge(6, 4, "wait")]


def test_without_standings_no_wait_leads_anywhere() -> None:
    assert {edge.kind for edge in edges(View(replace(going_offline(), standings=())))} == {"read", "queue", "publish"}


def test_a_read_that_freed_memory_stopped_follows_from_nothing() -> None:
    word = FIRST_OBJECT + 1
    write = Step(0, "write_once", (word, 1), accesses=(Access(word, 0, 1, True),), cpu=0)
    free = Step(0, "kfree", (FIRST_OBJECT,), cpu=0)
    read = Step(1, "read_once", (word,), accesses=(Access(word, 0, 0),), cpu=1)
    assert edges(view(write, free, read)) == []
    assert edges(view(write, read)) == [Edge(1, 0, "read")]


def test_a_callback_follows_from_the_section_that_it_waits_for() -> None:
    trace = going_offline()
    of_callback = [edge for edge in edges(View(trace)) if trace.steps[edge.target].context == 4]
    ends = [trace.steps[edge.source].op for edge in of_callback if edge.kind == "wait"]
    assert ends == ["rcu_read_unlock"]
    assert [trace.steps[edge.source].op for edge in of_callback if edge.kind == "queue"] == ["call_rcu"]


def test_every_context_that_acts_has_a_name_of_its_own() -> None:
    interrupts = [TracedContext(number, "tick", 0, "interrupt", "tick") for number in (1, 2)]
    steps = [touch(number, "read_once", write=False) for number in (0, 1, 2)]
    named = participants(view(*steps, contexts=[TASKS[0], *interrupts, TASKS[2]]))
    assert [*named.values()] == ["CPU 0", "interrupt on CPU 0", "interrupt on CPU 0 no. 2"]
    assert len({*participants(view(*steps, contexts=[TASKS[0], *interrupts]), lambda _name: "same").values()}) == 1


def test_participants_stand_in_the_order_of_the_columns() -> None:
    release = TracedContext(0, "release", None, "task", "release")
    steps = [Step(0, "smp_mb"), touch(1, "read_once", write=False)]
    assert [*participants(view(*steps, contexts=[release, TASKS[1]])).items()] == [(1, "CPU 1"), (0, "coordinator")]
