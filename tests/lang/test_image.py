"""Images: which programs are compiled, and by which numbers things go."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from percpu_emu.kernel import css, release
from percpu_emu.kernel.protocols import ORIGINAL, PATCHED
from percpu_emu.lang import context as c
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import Program, call_rcu, irq_work_queue_on, mark, queue_work, smp_mb, warn_on, write_once
from percpu_emu.lang.source import Refused

from .rig import programs_of

if TYPE_CHECKING:
    from types import ModuleType

    from .rig import Rig


def entry(x: int) -> Program[int]:
    yield mark("in the entry")
    yield call_rcu(first, x)
    return (yield from called(x))


def called(x: int) -> Program[int]:
    yield mark("in a called program")
    yield queue_work(second, x)
    return x * 2


def first(x: int) -> Program[None]:
    yield mark("in a callback")
    yield from called(x)
    yield call_rcu(third, x)


def second(_x: int) -> Program[None]:
    yield mark("in a callback")


def third(x: int) -> Program[None]:
    yield warn_on(x)
    yield call_rcu(first, x)  # a callback may queue the one that queued it


def worker(memcg: int, turn: int) -> Program[None]:
    yield write_once(memcg, turn + 1)


def bad_worker(_memcg: int) -> Program[None]:
    yield smp_mb()


def interrupts_another_cpu(x: int) -> Program[None]:
    yield irq_work_queue_on(first, x, 1)


def bases(x: int, bases: int) -> Program[int]:
    """Names that the compiled module uses itself."""
    ctx = x
    ops = bases
    abs = 3  # noqa: A001
    run = bases_1 = WORD = njit = 1  # noqa: N806
    yield smp_mb()
    for start1 in range(ctx, ops + 1):
        abs += start1  # noqa: A001
    return abs + run + bases_1 + WORD + njit


# --- numbers


def test_entries_and_workers_then_callbacks_have_numbers_from_1() -> None:
    image = Image([entry], [worker])
    assert [image.program(number) for number in (1, 2)] == [entry, worker]
    assert {image.program(number) for number in (3, 4, 5)} == {first, second, third}
    assert [image.number(image.program(number)) for number in range(1, 6)] == [1, 2, 3, 4, 5]


def test_marks_and_warnings_of_callbacks_are_numbered_before_anything_runs() -> None:
    """A process that is forked now numbers them as every other does."""
    image = Image([entry])
    assert sorted(image.marks) == ["in a callback", "in a called program", "in the entry"]
    assert [site.program for site in image.warnings] == ["third"]
    assert [image.mark_number(name) for name in image.marks] == [0, 1, 2]


def test_a_machines_programs_have_all_their_callbacks_numbered() -> None:
    programs = [css.kill_css, css.css_put, PATCHED.css_offline, ORIGINAL.css_free]
    image = Image(programs)
    numbered = {image.program(number) for number in range(1, len(image._numbered) + 1)}
    assert numbered >= {
        css.css_killed_ref_fn, css.css_killed_work_fn, css.css_release_work_fn, css.css_free_rwork_fn,
        release.percpu_rcu_free,
    }  # fmt: skip


def test_one_mark_too_many_is_an_error() -> None:
    image = Image([])
    for number in range(c.MAX_MARKS):
        image.mark_number(f"mark {number}")
    assert image.mark_number("mark 0") == 0
    with pytest.raises(ValueError, match="more than 32 marks in the programs of one machine"):
        image.mark_number("another")


def test_only_entries_and_workers_are_compiled() -> None:
    image = Image([entry], [worker])
    assert image.compiled(first) is None
    assert image.compiled(called) is None
    assert "def third" not in image.text(entry)


def test_what_is_an_entry_and_a_worker_is_compiled_once() -> None:
    image = Image([entry, worker, entry], [worker])
    assert len(image.texts) == 2
    assert image.text(worker).count("@entry_point(") == 2


def test_programs_of_a_module_are_those_it_defines() -> None:
    this: ModuleType = sys.modules[__name__]
    assert list(programs_of(this)) == [
        entry,
        called,
        first,
        second,
        third,
        worker,
        bad_worker,
        interrupts_another_cpu,
        bases,
    ]


def test_a_worker_takes_a_cgroup_and_a_turn() -> None:
    with pytest.raises(Refused) as caught:
        Image([], [bad_worker])
    assert caught.value.reason == "bad_worker is a worker, which takes a memory cgroup and the turn's number"
    assert caught.value.line == bad_worker.__code__.co_firstlineno


def test_names_of_the_compiled_module_are_free_for_variables(rig: Rig) -> None:
    assert rig.both(bases, 2, 4).result == 3 + (2 + 3 + 4) + 4


# --- the loop of a worker

TABLE: Final = 200
COMMAND: Final = 7


@pytest.fixture
def working(rig: Rig) -> Rig:
    """A rig with a table of two cgroups, one of them gone, and the command to work."""
    rig.segments["memory"].words[TABLE : TABLE + 3] = [2, 300, 0]
    rig.segments["control"].words[rig.block + c.COMMAND] = COMMAND
    return rig


def test_a_worker_does_turn_after_turn_over_the_table(working: Rig) -> None:
    loop = Image([], [worker]).loop(worker)
    assert loop(working.context.bases(), TABLE, COMMAND, 0, 64) == 64
    assert ("memory", 300) not in working.words()  # CPU 1 begins with the second entry, which is empty
    assert loop(working.context.bases(), TABLE, COMMAND, 64, 190) == 190
    words = working.words()
    assert words["memory", 300] == 128  # it stays with an entry for 64 turns
    assert ("memory", 0) not in words
    assert words["control", working.block + c.QUIESCENT] == 1


def test_a_worker_stops_when_another_command_stands_there(working: Rig) -> None:
    loop = Image([], [worker]).loop(worker)
    assert loop(working.context.bases(), TABLE, COMMAND - 1, 3, 10) == 3
    assert ("memory", 300) not in working.words()


def test_an_operation_that_no_process_can_do_is_refused() -> None:
    with pytest.raises(Refused, match="irq_work_queue_on is not for run: `explore` and `replay` have it"):
        Image([interrupts_another_cpu])
