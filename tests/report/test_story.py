from __future__ import annotations

from dataclasses import replace

import pytest

from percpu_emu.lang.setting import unit_word
from percpu_emu.lang.source import sites
from percpu_emu.lang.trace import Access, Step, TracedContext
from percpu_emu.report.story import story

from . import golden, programs, traces
from .traces import COUNTER, SLOTS, STATS, TRACES


@pytest.mark.parametrize("name", TRACES)
def test_the_story_is_as_it_was_last_read(name: str) -> None:
    golden.check(f"{name}-story", "\n".join(story(TRACES[name]())) + "\n")


@pytest.mark.parametrize("name", TRACES)
def test_every_text_is_made_of_sentences(name: str) -> None:
    for text in story(TRACES[name]()):
        assert text[0].isupper() or text[0].isdigit()
        assert text.endswith(".")
        assert "  " not in text


def test_it_ends_with_what_was_lost_and_what_is_missing() -> None:
    *_, lost, missing = story(traces.lost_count())
    assert lost == "1 is lost: counter is 7, the ledgers say 8."
    assert missing.startswith("Missing: the swap before the flush")


def test_a_killed_cpu_is_caught_in_the_middle_of_its_program() -> None:
    trace = traces.use_after_free()
    kill = TracedContext(2, "power", 0, "kill", "cpu_dead")
    steps = [*trace.steps[:4], Step(2, "kill", (0,), ended=True)]
    told = story(replace(trace, contexts=[*trace.contexts, kill], steps=steps, violation=None, missing=""))
    assert told[-1] == "CPU 0 is killed in the middle of count."


def test_a_task_moves_to_another_cpu() -> None:
    count = sites(programs.count)
    reads = Step(0, "__this_cpu_read", (SLOTS,), 1, (Access(unit_word(0, SLOTS), 1, 1),), count[3], 0)
    moves = Step(0, "migrate", (1,), cpu=0)
    writes = Step(0, "__this_cpu_write", (SLOTS, 2), 0, (Access(unit_word(1, SLOTS), 0, 2, True),), count[4], 1)
    trace = replace(traces.lost_count(), steps=[reads, moves, writes], violation=None, missing="")
    assert story(trace) == [
        "The task update reads 1 from its slot and moves to CPU 1. It writes 2 into its slot.",
    ]


def test_what_an_access_to_freed_memory_would_have_written_is_told_from_its_arguments() -> None:
    trace = traces.use_after_free()
    stopped = replace(trace.steps[-1], args=(SLOTS, 4), accesses=(Access(unit_word(0, SLOTS), 0, 0, True),))
    told = story(replace(trace, steps=[*trace.steps[:-1], stopped]))
    assert "CPU 0 writes 4 into its slot: that memory has been freed." in told


def test_a_pointer_that_is_null_is_called_null() -> None:
    site = sites(programs.count)[2]
    step = Step(0, "rcu_dereference", (STATS,), 0, (Access(STATS, 0, 0),), site, 0)
    trace = replace(traces.lost_count(), steps=[step], violation=None, missing="")
    assert story(trace) == ["CPU 0 reads the pointer stats: it is NULL."]


def test_what_was_waited_for_is_told() -> None:
    step = Step(2, "wait_until", (COUNTER, 1), 0, (Access(COUNTER, 1, 1),))
    trace = replace(traces.lost_count(), steps=[step], violation=None, missing="")
    assert story(trace) == ["The coordinator sleeps until counter is 1."]
