from __future__ import annotations

from dataclasses import replace

from percpu_emu.lang.setting import ContextSpec
from percpu_emu.lang.trace import Obstacle, Standing, Step
from percpu_emu.report.view import View

from . import programs, traces
from .traces import COUNTER, SLOTS


def test_a_wait_lasts_until_the_reader_has_left_its_section() -> None:
    view = View(traces.lost_count())
    begins, leaves, goes_on = 16, 17, 19
    assert view.moments[begins + 1].contexts[2].state == "waiting"
    assert view.moments[begins + 1].waits[0].pending == (1,)
    assert [wait.step for wait in view.moments[leaves + 1].over] == [begins]
    assert view.ends_wait(goes_on)
    assert view.moments[goes_on + 1].waits[0].taken


def test_a_reader_that_is_killed_holds_up_no_grace_period() -> None:
    contexts = [
        traces.UPDATES[0],
        ContextSpec("release", programs.flush_then_swap),
        ContextSpec("power", programs.cpu_dead, "kill", 0, ("cpu",)),
    ]
    view = View(traces.traced(contexts, [0], [(0, 3), (1, 8), (2, 1)], ("killed", ""), None))
    assert view.moments[11].waits[0].pending == (0,)
    assert view.moments[12].contexts[0].state == "killed"
    assert view.moments[12].waits[0].pending == ()


def test_a_context_is_blocked_while_its_word_has_another_value() -> None:
    contexts = [ContextSpec("waiter", programs.wait_for_release), ContextSpec("release", programs.free_at_once)]
    view = View(traces.traced(contexts, [0], [(0, 1), (1, 3), (0, 1)], ("blocked", ""), None))
    states = [moment.contexts[0].state for moment in view.moments]
    assert states == ["not started", "blocked", "blocked", "ready", "ready", "ended"]


def test_a_queued_callback_waits_runs_and_ends() -> None:
    view = View(traces.going_offline())
    states = [moment.contexts[4].state for moment in view.moments]
    assert states == [*["not started"] * 6, *["queued"] * 6, *["ready"] * 7, "ended"]


def test_a_task_is_interrupted_while_an_interrupt_is_active_on_its_cpu() -> None:
    view = View(traces.interrupted())
    states = [moment.contexts[0].state for moment in view.moments]
    assert states[4:15] == ["ready", *["interrupted"] * 8, "ready", "ready"]
    assert view.moments[5].contexts[1].reader


def test_memory_is_live_until_it_is_freed() -> None:
    view = View(traces.use_after_free())
    assert [SLOTS in moment.live for moment in view.moments] == [*[True] * 7, False, False]
    assert view.in_freed(7)


def test_the_ledger_is_entered_at_the_commit() -> None:
    view = View(traces.lost_count())
    assert [moment.ledgers[COUNTER] for moment in view.moments] == [*[7] * 19, *[8] * 3]


def test_a_wait_for_no_reader_is_over_at_once() -> None:
    steps = [Step(2, "synchronize_rcu"), Step(2, "synchronize_rcu", ended=True)]
    view = View(replace(traces.lost_count(), steps=steps, violation=None))
    assert [moment.contexts[2].state for moment in view.moments] == ["not started", "waiting", "ended"]


def test_a_wait_is_over_when_the_engine_says_that_who_waits_can_go_on() -> None:
    trace = traces.lost_count()
    begins, leaves = 16, 17
    free = [Standing(number, None, False, None) for number in range(3)]
    waits = [*free[:2], Standing(2, None, False, Obstacle("grace period", (1,)))]
    reader = replace(free[1], reader=True)
    standings = [free] * (begins + 1) + [[free[0], reader, waits[2]]] * 2 + [free] * (len(trace.steps) - leaves - 1)
    view = View(replace(trace, standings=standings))
    assert view.moments[leaves + 1].waits[0].pending == (1,), "by its steps the reader has left"
    assert view.moments[leaves + 1].contexts[1].reader
    assert [bool(moment.over) for moment in view.moments].index(True) == leaves + 2
    assert view.moments[leaves + 2].waits[0].pending == ()
