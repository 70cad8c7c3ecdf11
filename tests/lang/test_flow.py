"""What is known of bytecode before it runs: which registers are live, how few there need be, what can still be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from percpu_emu.explore.model import Model
from percpu_emu.explore.search import Search
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang import flow
from percpu_emu.lang import instructions as i
from percpu_emu.lang.bytecode import Compiler
from percpu_emu.lang.code import Code, Stretch
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    call_rcu,
    kfree,
    kzalloc,
    mark,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_barrier,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_mb,
    synchronize_rcu,
    wait_until,
    write_once,
)
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.source import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search

A: Final = STATIC
B: Final = STATIC + 1


def hand_written(*rows: list[int], parameters: int = 0) -> tuple[Code, Stretch]:
    """Code of one stretch; rows are filled up with unused operands."""
    code = Code()
    zero = code.constant(0)
    assert zero == -1
    code.rows = [[*(row + [-1] * 5)[:5], 0] for row in rows]
    registers = 1 + max((operand for row in code.rows for operand in row[i.A : i.OWN]), default=-1)
    registers = max([registers, *[1 + d for row in code.rows if (d := flow.defined(row)) is not None], parameters])
    stretch = Stretch(nothing, 0, len(code.rows), parameters, registers)
    code.stretches.append(stretch)
    return code, stretch


def compiled(*programs: ProgramFunction) -> tuple[Code, list[int]]:
    """The improved code of tasks, with what they queue; and where each queued program begins."""
    compiler = Compiler({})
    for program in programs:
        compiler.task(program, (), 1, prelude=False)
    queued = []
    while len(queued) < len(compiler.code.queued):
        queued.append(compiler.callback(compiler.code.queued[len(queued)]))
    flow.improve(compiler.code)
    return compiler.code, [stretch.start for stretch in queued]


def nothing() -> Program[None]:
    yield smp_mb()


# --- liveness


def test_a_register_is_live_from_where_it_is_written_to_where_it_is_last_read() -> None:
    code, stretch = hand_written(
        [i.READ, 0, -1],
        [i.NOTHING, 1, -1],
        [i.ADD, 2, 0, 1],
        [i.WRITE, -1, -1, 2],
        [i.END],
    )
    assert flow.Liveness(code, stretch).before == {0: set(), 1: {0}, 2: {0, 1}, 3: {2}, 4: set()}


def test_a_register_stays_live_round_a_loop() -> None:
    code, stretch = hand_written(
        [i.MOV, 0, -1],
        [i.JUMP_UNLESS_LT, 5, 0, 1],
        [i.WRITE, -1, -1, 2],
        [i.ADD, 0, 0, -1],
        [i.JUMP, 1],
        [i.END],
        parameters=3,
    )
    live = flow.Liveness(code, stretch)
    assert live.before == {0: {1, 2}, 1: {0, 1, 2}, 2: {0, 1, 2}, 3: {0, 1, 2}, 4: {0, 1, 2}, 5: set()}


def test_what_one_branch_reads_is_live_before_both() -> None:
    code, stretch = hand_written(
        [i.JUMP_IF_NOT, 3, 0],
        [i.WRITE, -1, -1, 1],
        [i.JUMP, 4],
        [i.MOV, 1, -1],
        [i.END],
        parameters=2,
    )
    before = flow.Liveness(code, stretch).before
    assert (before[0], before[1], before[3]) == ({0, 1}, {1}, set())


def test_the_masks_of_live_registers_are_their_bits() -> None:
    code, _ = hand_written([i.NOTHING, 0, -1], [i.NOTHING, 1, -1], [i.WRITE, -1, 0, 1], [i.END])
    assert flow.live_masks(code) == [0, 1, 3, 0]


# --- fewer rows and registers


def test_registers_that_are_never_live_together_become_one() -> None:
    code, stretch = hand_written(
        [i.READ, 0, -1],
        [i.WRITE, -1, -1, 0],
        [i.READ, 1, -1],
        [i.WRITE, -1, -1, 1],
        [i.END],
    )
    flow.colour_registers(code, stretch)
    assert stretch.registers == 1
    assert [row[i.DST] for row in code.rows[:3:2]] == [0, 0]


def test_registers_that_are_live_together_stay_apart() -> None:
    code, stretch = hand_written(
        [i.READ, 0, -1],
        [i.READ, 1, -1],
        [i.READ, 2, -1],
        [i.ADD, 3, 0, 1],
        [i.ADD, 4, 3, 2],
        [i.WRITE, -1, -1, 4],
        [i.END],
    )
    flow.colour_registers(code, stretch)
    assert stretch.registers == 3
    assert len({row[i.DST] for row in code.rows[:3]}) == 3


def test_a_result_that_nobody_reads_overwrites_nothing_that_somebody_does() -> None:
    code, stretch = hand_written(
        [i.READ, 0, -1],
        [i.XCHG, 1, -1, -1],
        [i.WRITE, -1, -1, 0],
        [i.END],
    )
    flow.colour_registers(code, stretch)
    assert code.rows[0][i.DST] != code.rows[1][i.DST]


def test_parameters_keep_their_registers() -> None:
    code, stretch = hand_written([i.READ, 2, 1], [i.WRITE, -1, 2, 0], [i.END], parameters=2)
    flow.colour_registers(code, stretch)
    assert (code.rows[0][i.A], code.rows[1][i.B]) == (1, 0)


def test_a_move_of_what_nobody_else_reads_is_merged() -> None:
    code, stretch = hand_written([i.READ, 0, -1], [i.MOV, 1, 0], [i.WRITE, -1, -1, 1], [i.END])
    flow.improve(code)
    assert [row[i.OPCODE] for row in code.rows] == [i.READ, i.WRITE, i.END]
    assert (stretch.end, stretch.registers) == (3, 1)


@pytest.mark.parametrize(
    "rows",
    [
        [[i.READ, 0, -1], [i.MOV, 1, 0], [i.WRITE, -1, 0, 1], [i.END]],  # somebody else reads it
        [[i.JUMP_IF, 2, 0], [i.READ, 0, -1], [i.MOV, 1, 0], [i.WRITE, -1, -1, 1], [i.END]],  # another way leads here
    ],
)
def test_a_move_that_matters_stays(rows: list[list[int]]) -> None:
    code, stretch = hand_written(*rows)
    flow.merge_moves(code, stretch)
    assert i.MOV in [row[i.OPCODE] for row in code.rows]


def test_a_jump_to_a_jump_goes_to_the_end_of_them() -> None:
    code, stretch = hand_written([i.JUMP_IF, 2, 0], [i.END], [i.JUMP, 4], [i.END], [i.JUMP, 1], parameters=1)
    flow.thread_jumps(code, stretch)
    assert code.rows[0][i.DST] == 1


def test_jumps_in_a_circle_are_left_alone() -> None:
    code, stretch = hand_written([i.JUMP_IF, 1, 0], [i.JUMP, 2], [i.JUMP, 1], [i.END], parameters=1)
    flow.thread_jumps(code, stretch)
    assert code.rows[0][i.DST] in (1, 2)


def test_rows_are_numbered_anew_when_jumps_fall_away() -> None:
    code, stretch = hand_written([i.JUMP, 1], [i.MARK, -1, -1], [i.JUMP_IF, 4, 0], [i.JUMP, 4], [i.END], parameters=1)
    code.names = {1: "mark"}
    flow.drop_empty_jumps(code)
    assert [row[i.OPCODE] for row in code.rows] == [i.MARK, i.JUMP_IF, i.END]
    assert (code.rows[1][i.DST], code.names, stretch.end) == (2, {0: "mark"}, 3)


def test_more_values_at_once_than_fit_are_refused(module_of: Callable[[str], ModuleType]) -> None:
    def text(values: int) -> str:
        reads = [f"    x{n} = yield read_once({A})" for n in range(values)]
        total = " + ".join(f"x{n}" for n in range(values))
        return "\n".join(["from percpu_emu.lang.ops import *", "def p():", *reads, f"    return {total}"])

    compiled(module_of(text(flow.MAX_REGISTERS - 1)).p)
    with pytest.raises(Refused, match="values at once"):
        compiled(module_of(text(flow.MAX_REGISTERS + 1)).p)


# --- what can still be done


def names_of(code: Code, rows: set[int]) -> set[str]:
    return {code.names[at] for at in rows if at in code.names}


def row_of(code: Code, name: str) -> int:
    return next(at for at, known in code.names.items() if known == name)


def waiting() -> Program[None]:
    yield write_once(A, 1)
    yield synchronize_rcu()
    yield mark("after")


def test_what_stands_behind_a_wait_is_reached_only_through_it() -> None:
    code, entries = compiled(waiting)
    start = [code.stretches[0].start]
    through = flow.reachable(code, start, entries, through_waits=True)
    before = flow.reachable(code, start, entries, through_waits=False)
    assert names_of(code, through) == {"write_once", "synchronize_rcu", "mark"}
    assert names_of(code, before) == {"write_once", "synchronize_rcu"}


def queueing() -> Program[None]:
    yield call_rcu(free, 0)
    yield queue_work(allocate, 0)


def free(word: int) -> Program[None]:
    yield kfree(word)


def allocate(_argument: int) -> Program[None]:
    yield kzalloc(8)
    yield call_rcu(again, 0)


def again(_argument: int) -> Program[None]:
    yield rcu_barrier()


def test_what_is_queued_can_be_reached_and_callbacks_only_through_a_grace_period() -> None:
    code, entries = compiled(queueing)
    start = [code.stretches[0].start]
    own = {"call_rcu", "queue_work", "kzalloc"}
    assert names_of(code, flow.reachable(code, start, entries, through_waits=False)) == own
    assert names_of(code, flow.reachable(code, start, entries, through_waits=True)) == own | {"kfree", "rcu_barrier"}


def branching() -> Program[None]:
    x = yield read_once(A)
    if x:
        yield mark("one")
    else:
        yield write_once(A, 1)
    yield smp_mb()


def test_what_lies_behind_or_in_the_other_branch_is_not_reached() -> None:
    code, entries = compiled(branching)
    for name in ("mark", "write_once", "smp_mb"):
        found = flow.reachable(code, [row_of(code, name)], entries, through_waits=True)
        assert names_of(code, found) == {name, "smp_mb"}


def looping() -> Program[None]:
    for _ in range(2):
        yield mark("first")
        yield smp_mb()


def test_in_a_loop_everything_is_reached_again() -> None:
    code, entries = compiled(looping)
    assert names_of(code, flow.reachable(code, [row_of(code, "smp_mb")], entries, through_waits=True)) == {
        "mark",
        "smp_mb",
    }


def wait_in_section() -> Program[None]:
    yield preempt_disable()
    yield rcu_read_lock()
    yield rcu_read_unlock()
    yield wait_until(A, 1)
    yield preempt_enable()


def wait_behind_section() -> Program[None]:
    yield rcu_read_lock()
    yield rcu_read_unlock()
    yield wait_until(A, 1)


def wait_behind_one_branch() -> Program[None]:
    x = yield read_once(A)
    if x:
        yield rcu_read_lock()
    yield wait_until(A, 1)


@pytest.mark.parametrize(
    ("program", "inside"),
    [(wait_in_section, True), (wait_behind_section, False), (wait_behind_one_branch, True), (nothing, False)],
)
def test_a_wait_inside_a_section_is_seen(program: ProgramFunction, inside: bool) -> None:
    code, _ = compiled(program)
    assert flow.waits_as_reader(code, code.stretches[0], {i.WAIT_UNTIL}) is inside
    assert not flow.waits_as_reader(code, code.stretches[0], {i.SYNCHRONIZE_RCU})


# --- states do not differ by what is dead


def states(*programs: ProgramFunction, reduce: bool = False) -> Search:
    contexts = [ContextSpec(program.__name__, program) for program in programs]
    search = Search(Model(Setting(1, tuple(contexts))), reduce)
    assert search.run(every=True) == []
    return search


def read_and_forget() -> Program[None]:
    x = yield read_once(A)
    yield write_once(B, x)
    yield smp_mb()
    yield write_once(B, 0)


def read_and_remember() -> Program[int]:
    x = yield read_once(A)
    yield write_once(B, x)
    yield smp_mb()
    yield write_once(B, 0)
    return x


def write() -> Program[None]:
    yield write_once(A, 1)


def test_what_was_read_makes_no_difference_once_it_is_dead() -> None:
    assert len(states(read_and_forget, write).finals) == 1
    assert len(states(read_and_remember, write).finals) == 2
    # A is 0 or 1. After the read so is x, then B, in three of the four ways together with A; in the end neither counts.
    assert states(read_and_forget, write).states == 2 + 3 + 3 + 3 + 2


def two_ways() -> Program[None]:
    x = yield read_once(A)
    if x:
        yield mark("one")
        y = yield read_once(A)
    else:
        yield mark("other")
        y = yield read_once(A)
    z = x + y - x - y
    yield write_once(B, z)


def test_two_ways_to_the_same_state_come_to_one_state() -> None:
    search = states(two_ways, write)
    assert len(search.finals) == 1
    assert search.executions() == 5


def count() -> Program[None]:
    for _ in range(2):
        yield smp_mb()


def test_equal_programs_that_have_ended_leave_nothing_behind() -> None:
    """Where a program has ended its loop's counter is gone: the states are those of two counters that go to 2."""
    assert states(count, count).states == 9
