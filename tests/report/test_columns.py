from __future__ import annotations

import re
from dataclasses import replace

import pytest

from percpu_emu.lang.source import sites
from percpu_emu.lang.trace import Access, Step
from percpu_emu.report.columns import columns

from . import golden, programs, traces
from .traces import COUNTER, TRACES


@pytest.mark.parametrize("name", TRACES)
def test_the_columns_are_as_they_were_last_read(name: str) -> None:
    golden.check(f"{name}-columns", columns(TRACES[name]()))


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("width", [40, 60, 72, 100, 140])
def test_no_line_is_wider_than_asked_and_all_is_ascii(name: str, width: int) -> None:
    text = columns(TRACES[name](), width)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("name", TRACES)
def test_every_step_is_shown_or_counted_as_folded(name: str) -> None:
    trace = TRACES[name]()
    shown, folded = _counted(columns(trace))
    assert shown + folded == len(trace.steps)
    assert (f"; {folded} of them folded" in columns(trace)) == (folded > 0)


@pytest.mark.parametrize("name", TRACES)
def test_the_guilty_steps_are_marked_and_no_others(name: str) -> None:
    trace = TRACES[name]()
    marked = {int(number) - 1 for number in re.findall(r"^!! (\d+)", columns(trace), re.MULTILINE)}
    assert marked == set(trace.violation.guilty if trace.violation else ())


def test_a_flush_over_many_words_that_no_other_writes_is_folded() -> None:
    site = sites(programs.flush_and_free)[1]
    reads = [Step(2, "read_once", (70200 + item,), 0, (Access(70200 + item, 0, 0),), site, None) for item in range(36)]
    named = Step(2, "read_once", (COUNTER,), 5, (Access(COUNTER, 5, 5),), site, None)
    trace = replace(traces.lost_count(), steps=[*reads, named], violation=None)
    text = columns(trace)
    assert "... 36 steps: 36 read_once" in text
    assert "counter = 5" in text
    assert _counted(text) == (1, 36)


def test_several_tasks_in_one_column_are_told_apart() -> None:
    trace = traces.lost_count()
    on_one_cpu = [replace(context, cpu=0, name=f"task{context.number}") for context in trace.contexts]
    text = columns(replace(trace, contexts=on_one_cpu, steps=[replace(step, cpu=0) for step in trace.steps]))
    assert "task1> __this_cpu_write(slots, x + delta)" in text
    assert "task2> atomic_long_add(COUNTER, x)" in text


def test_too_narrow_a_page_is_refused() -> None:
    with pytest.raises(ValueError, match="40"):
        columns(traces.lost_count(), 39)


def _counted(text: str) -> tuple[int, int]:
    """Steps shown one by one, and steps in folded lines."""
    lines = re.findall(r"^(?:!!|  ) (\d+) (.*)$", text, re.MULTILINE)
    folds = [int(count.group(1)) for _, line in lines if (count := re.search(r"\.\.\. (\d+) steps: ", line))]
    return len(lines) - len(folds), sum(folds)
