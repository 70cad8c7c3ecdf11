"""The reference engine: the program's own text as a generator, every number a word."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest

from percpu_emu.lang import context as c
from percpu_emu.lang.ops import Op, Program, call_rcu, read_once, smp_mb, warn_on, write_once
from percpu_emu.lang.reference import Reference, in_words, site_of
from percpu_emu.lang.source import Refused, sites
from percpu_emu.lang.words import LONG_MAX, Long

if TYPE_CHECKING:
    from .rig import Rig


def counting(n: int) -> Program[int]:
    """Numbers from every source there is."""
    total = 0
    for i in range(n):
        total += i
    total += (n > 1) + (not n) + int(n) + LONG_MAX
    annotated: int = True
    yield write_once(1, total)
    return total + annotated


def without_result(n: int) -> Program[None]:
    if n:
        yield smp_mb()
        return


def with_result_of_it(n: int) -> Program[int]:
    x = yield from without_result(n)  # type: ignore[func-returns-value]
    return 1 + x  # type: ignore[operator]


def failing(n: int) -> Program[int]:
    yield smp_mb()
    return n // 0


def caller(n: int) -> Program[int]:
    return (yield from failing(n))


def warning(x: int) -> Program[None]:
    yield read_once(100 + (yield warn_on(x)) + (yield warn_on(x + 1)))
    yield warn_on(x + 2)


def around(x: int) -> Program[None]:
    yield from warning(x)


def endless(x: int) -> Program[None]:
    yield smp_mb()
    yield from endless(x)


def queues_itself(x: int) -> Program[None]:
    yield call_rcu(queues_itself, x)


def test_every_number_in_it_is_a_word() -> None:
    program: Any = in_words(counting)(Long(3))
    op = next(program)
    assert op == Op("write_once", (1, Long(LONG_MAX) + 7))
    assert [type(argument) for argument in op.args] == [Long, Long]
    with pytest.raises(StopIteration) as end:
        program.send(Long(0))
    assert end.value.value == Long(LONG_MAX) + 8
    assert type(end.value.value) is Long


@pytest.mark.parametrize("n", [0, 1])
def test_a_program_without_a_result_gives_0_as_it_does_compiled(rig: Rig, n: int) -> None:
    assert rig.both(with_result_of_it, n).result == 1


def test_an_error_shows_file_line_and_text_of_the_program(rig: Rig) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        rig.reference(caller, 5)
    frames = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == __file__]
    assert [(frame.name, frame.line) for frame in frames[-2:]] == [
        ("caller", "return (yield from failing(n))"),
        ("failing", "return n // 0"),
    ]


def test_a_debugger_finds_the_lines_and_variables_of_the_text() -> None:
    program: Any = in_words(counting)(Long(3))
    next(program)
    frame = program.gi_frame
    assert frame.f_code.co_filename == __file__
    assert frame.f_lineno == counting.__code__.co_firstlineno + 7
    assert frame.f_locals == {"n": 3, "total": Long(LONG_MAX) + 7, "i": 2, "annotated": 1}
    assert frame.f_globals["LONG_MAX"] == LONG_MAX
    program.close()


def test_a_standing_program_knows_its_site() -> None:
    program: Any = in_words(around)(Long(0))
    seen = []
    op = next(program)
    while op is not None:
        seen.append(str(site_of(program)))
        try:
            op = program.send(Long(0))
        except StopIteration:
            op = None
    in_text = sites(warning)
    assert seen == [str(in_text[number - 1]) for number in (2, 3, 1, 4)]


@pytest.mark.parametrize(("x", "last"), [(-2, 3), (-1, 4), (0, 4)])
def test_a_warning_is_named_by_its_yield_even_if_two_stand_in_a_line(rig: Rig, x: int, last: int) -> None:
    outcome = rig.both(around, x)
    block = c.block_offset(0)
    assert outcome.words["control", block + c.WARNINGS] == 2
    warnings = rig.image(around).warnings
    assert warnings[outcome.words["control", block + c.WARN_SITE]].number == last
    assert warnings == [sites(warning)[number - 1] for number in (2, 3, 4)]


def test_a_program_is_rewritten_once() -> None:
    assert in_words(around) is in_words(around)


def test_its_own_name_is_the_program_as_it_stands_not_the_rewritten_one() -> None:
    program: Any = in_words(queues_itself)(Long(0))
    assert next(program) == Op("call_rcu", (queues_itself, 0))
    program.close()


def test_recursion_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        in_words(endless)
    assert caught.value.reason == "endless calls itself; a program does not recurse"
    assert caught.value.line == endless.__code__.co_firstlineno


def test_one_operation_can_be_performed_by_itself(rig: Rig) -> None:
    reference = Reference(rig.context, rig.image(counting))
    assert reference.perform(Op("write_once", (100, -5))) == 0
    assert reference.perform(Op("read_once", (100,))) == -5
    assert rig.words() == {("memory", 100): -5}
